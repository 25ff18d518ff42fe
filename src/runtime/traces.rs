//! `traces` as requests need it.

use std::sync::Arc;

use super::asked_service::AskedService;
use crate::config::{self, Share, TraceParent};
use crate::telemetry::SpanQueue;
use crate::upstream::Pool;

/// Which requests are traced, and where their spans go.
#[derive(Debug)]
pub struct Traces {
    pub collector: AskedService,
    /// What the collector knows this proxy by.
    pub service: String,
    pub errors: bool,
    pub parent: TraceParent,
    /// Parts of [`Share::ALL`].
    sample: u32,
    /// That of the configuration before: a reload loses no span.
    pub queue: Arc<SpanQueue>,
}

impl Traces {
    /// # Errors
    /// When the endpoint has no upstream.
    pub fn compile(config: &config::Traces, pools: &[Arc<Pool>], previous: Option<&Self>) -> Result<Self, String> {
        let endpoint = &config.endpoint;
        let pool = pools.get(endpoint.upstream.index).cloned().ok_or("traces: no such upstream")?;
        Ok(Self {
            collector: AskedService { pool, host: endpoint.host.clone(), target: endpoint.target.clone() },
            service: config.service.clone(),
            errors: config.errors,
            parent: config.parent,
            sample: config.sample.0,
            queue: previous.map(|before| Arc::clone(&before.queue)).unwrap_or_default(),
        })
    }

    /// Whether a request is one of the share.
    pub fn samples(&self) -> bool {
        self.sample > 0 && fastrand::u32(0..Share::ALL.0) < self.sample
    }
}
