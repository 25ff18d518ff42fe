//! The origin as a process of its own, so that its processor time is not ours.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::error::Result;
use crate::process::Guard;

/// The service behind all candidates, which ends when it is dropped.
pub struct Origin {
    _process: Guard,
    pub grpc: SocketAddr,
    pub servers: Vec<SocketAddr>,
}

impl Origin {
    pub fn start(ports: usize) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["origin", "--ports", &ports.to_string()]);
        let mut process = Guard(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().ok_or("the origin says nothing")?).read_line(&mut line)?;
        let ports = line.split_whitespace().map(str::parse::<u16>).collect::<std::result::Result<Vec<_>, _>>()?;
        let mut addresses = ports.into_iter().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let grpc = addresses.next().ok_or("the origin has no port")?;
        Ok(Self { _process: process, grpc, servers: addresses.collect() })
    }
}
