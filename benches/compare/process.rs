//! Processes that end with the value that holds them.

use std::net::{SocketAddr, TcpStream};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Result;

/// Kills the process when it is dropped.
#[derive(Debug)]
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Guard {
    /// Waits until the address is listened on.
    ///
    /// # Errors
    /// When the process ends first, or takes longer.
    pub fn await_listening(&mut self, address: SocketAddr, within: Duration) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.0.try_wait()? {
                return Err(format!("ended with {status}").into());
            }
            if began.elapsed() > within {
                return Err(format!("not ready within {within:?}").into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
