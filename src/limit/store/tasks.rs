//! The tasks that keep the connections to stores, over reloads.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::client::Store;

/// One task for each store that a configuration names.
#[derive(Debug, Default)]
pub struct StoreTasks(Vec<(Arc<Store>, AbortHandle)>);

impl StoreTasks {
    /// Begins with those that are new, and ends with those that are gone.
    pub fn follow<'s>(&mut self, stores: impl Iterator<Item = &'s Arc<Store>>) {
        let stores: Vec<&Arc<Store>> = stores.collect();
        self.0.retain(|(store, task)| {
            let stays = stores.iter().any(|named| Arc::ptr_eq(named, store));
            if !stays {
                task.abort();
            }
            stays
        });
        for store in stores {
            if !self.0.iter().any(|(known, _)| Arc::ptr_eq(known, store)) {
                let task = tokio::spawn(Arc::clone(store).run());
                self.0.push((Arc::clone(store), task.abort_handle()));
            }
        }
    }
}
