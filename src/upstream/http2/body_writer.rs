//! The body of a request, as Pingora writes it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::Result;
use pingora_core::protocols::http::custom::BodyWrite;

use super::upload_queue::UploadQueue;
use crate::exchange::Exchange;

/// Never waits and never fails: the session tells of what keeps the upstream from taking the body.
#[derive(Debug)]
pub(super) struct BodyWriter {
    pub queue: Arc<UploadQueue>,
    pub exchange: Arc<Exchange>,
}

#[async_trait]
impl BodyWrite for BodyWriter {
    async fn write_all_buf(&mut self, data: &mut Bytes) -> Result<()> {
        self.queue.lock().write(std::mem::take(data), &self.exchange);
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        self.queue.lock().end(&self.exchange);
        Ok(())
    }

    async fn cleanup(&mut self) -> Result<()> {
        Ok(())
    }

    /// A tunnel is one from its first byte on.
    fn upgrade_body_writer(&mut self) {}
}
