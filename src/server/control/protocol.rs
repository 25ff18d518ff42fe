//! The protocol of the control socket, between two processes of this program: one JSON
//! value a line, with descriptors beside it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Uid;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

use crate::server::journal::Who;
use crate::upstream::OperatorCommand;

/// The version of the protocol. A process that speaks another one is refused before
/// anything is handed over.
pub const VERSION: u32 = 1;
/// The number of descriptors in one message: the kernel takes at most 253.
pub const MAX_SOCKETS: usize = 64;
/// The newest requests of a process are the longest message.
const MAX_LINE: usize = 64 << 20;

/// What came of an order, in words.
pub type Outcome = (bool, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Reload,
    Reopen,
    Upgrade,
    Quit,
    Stop,
    Status,
    /// As [`Self::Status`], with a good outcome only while the process serves.
    Ready,
}

impl Order {
    /// Whether the process ends of the order. The caller then waits until it is gone.
    pub fn ends_the_process(self) -> bool {
        match self {
            Self::Quit | Self::Stop => true,
            Self::Reload | Self::Reopen | Self::Upgrade | Self::Status | Self::Ready => false,
        }
    }
}

/// What a caller wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// The configuration that is in force, as an [`InForce`].
    Configuration,
    /// So many of the newest lines of the access log, in JSON, the oldest of them first.
    Recent(usize),
    /// The figures that people look at, as the admin endpoint's `/stats`.
    Stats,
}

/// The configuration that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// As `-T` prints it.
    pub yaml: String,
    /// Where it came from.
    pub source: Option<PathBuf>,
    /// How many configurations have been in force, with this one.
    pub generation: u64,
    pub pid: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// From a caller: an order for the process that runs with this file.
    #[serde(rename = "do")]
    Order { order: Order, file: Option<PathBuf> },
    /// From a caller: it wants the report of the upstreams, or a change of a server.
    Upstreams { change: Option<OperatorCommand>, file: Option<PathBuf> },
    /// From a caller: it wants to know something of the process that runs with this file.
    Ask { question: Question, file: Option<PathBuf> },
    /// From a new process: it wants the listeners of the process that runs with this file.
    TakeOver {
        version: u32,
        pid: u32,
        file: Option<PathBuf>,
        /// Whether it takes several sockets of one name. An older program has one for each
        /// listener and would close the others, with the clients that wait there.
        #[serde(default)]
        several_sockets: bool,
        /// Whether it keeps the connection after [`Message::Done`], so that the older process sees
        /// it end. An older program closes it.
        #[serde(default)]
        probation: bool,
    },
    /// To the new process: some of the sockets, by name and in the order of the descriptors.
    Sockets {
        names: Vec<String>,
        more: bool,
        /// Whether this process may hold its sockets after [`Message::Done`], and takes
        /// [`Message::Unclaimed`].
        #[serde(default)]
        probation: bool,
    },
    /// From the new process, before it is ready: the names of the sockets that it does not use.
    Unclaimed { names: Vec<String> },
    /// From the new process: it has started and accepts nothing yet.
    Ready,
    /// To the new process: it may accept connections.
    Commit,
    /// From the new process: it accepts connections.
    Started,
    /// To the new process: this one accepts no more.
    Done,
    /// From the new process, after that: the older one is not to take the sockets back when this
    /// connection ends, and why.
    Released { reason: String },
    /// From either: it goes no further, and why.
    Refused { reason: String },
    /// To a caller: what came of its order.
    Outcome { ok: bool, text: String },
}

/// One connection on the control socket.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    buffer: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Channel {
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, buffer: Vec::new(), descriptors: VecDeque::new() }
    }

    /// Another channel on the same connection, for another thread to send something.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.stream.try_clone().map(Self::new)
    }

    /// Closes the connection for both sides, whoever else has it open.
    ///
    /// # Errors
    /// When it is closed already.
    pub fn shut_down(&self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Both)
    }

    /// Whether the caller may give orders to this process: its own user and root may.
    ///
    /// # Errors
    /// With the number of the other side's user.
    pub fn check_caller(&self) -> Result<(), String> {
        let (own, caller) = (Uid::effective(), self.peer()?);
        if own == caller || caller.is_root() {
            return Ok(());
        }
        Err(format!("user {caller} has no say over a process of user {own}"))
    }

    /// Whether the process that answers may be believed: one of our own user or of root, and
    /// any where we are root.
    ///
    /// # Errors
    /// With the stranger's number.
    pub fn check_server(&self) -> Result<(), String> {
        let (own, server) = (Uid::effective(), self.peer()?);
        if own == server || server.is_root() || own.is_root() {
            return Ok(());
        }
        Err(format!("the process that answers is one of user {server}"))
    }

    /// The caller as the kernel says, for the journal.
    pub fn who(&self) -> Who {
        let peer = getsockopt(&self.stream, PeerCredentials);
        peer.map_or(Who::Control { uid: u32::MAX, pid: 0 }, |peer| Who::Control { uid: peer.uid(), pid: peer.pid() })
    }

    fn peer(&self) -> Result<Uid, String> {
        // rustix refuses the credentials of a process in another pid namespace, whose id is 0.
        let peer = getsockopt(&self.stream, PeerCredentials).map_err(|e| e.to_string())?;
        Ok(Uid::from_raw(peer.uid()))
    }

    /// # Errors
    /// When the other side is gone or does not read.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        self.send_with(message, &[])
    }

    /// # Errors
    /// As [`Self::send`].
    pub fn send_with(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        let sent = rustix::net::sendmsg(&self.stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL)?;
        (&self.stream).write_all(line.get(sent..).unwrap_or_default())
    }

    /// The next message. Descriptors that came with it wait for [`Self::descriptors`].
    ///
    /// # Errors
    /// When no message comes before `wait` is over, the other side is gone, or what came is
    /// no message.
    pub fn receive(&mut self, wait: Duration) -> io::Result<Message> {
        let end = Instant::now() + wait;
        let mut searched = 0;
        let length = loop {
            if let Some(at) = memchr::memchr(b'\n', self.buffer.get(searched..).unwrap_or_default()) {
                break searched + at;
            }
            searched = self.buffer.len();
            if self.buffer.len() > MAX_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a message without an end"));
            }
            self.fill(end)?;
        };
        let line: Vec<u8> = self.buffer.drain(..=length).collect();
        Ok(serde_json::from_slice(&line)?)
    }

    /// The next `count` of the descriptors that came so far: the kernel may hand them over
    /// before the message that they belong to.
    pub fn descriptors(&mut self, count: usize) -> Vec<OwnedFd> {
        self.descriptors.drain(..count.min(self.descriptors.len())).collect()
    }

    /// Whether the other side is gone. What it has sent meanwhile is thrown away.
    pub fn is_closed(&self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match rustix::net::recv(&self.stream, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return true,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return e != rustix::io::Errno::AGAIN,
            }
        }
    }

    fn fill(&mut self, end: Instant) -> io::Result<()> {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let read = rustix::net::recvmsg(
            self.stream.as_fd(),
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        );
        let read = match read {
            Err(rustix::io::Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(rustix::io::Errno::INTR) => return Ok(()),
            read => read?,
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        if read.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&bytes[..read.bytes]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn pair() -> (Channel, Channel) {
        let (one, other) = UnixStream::pair().unwrap();
        (Channel::new(one), Channel::new(other))
    }

    #[test]
    fn messages_and_descriptors_arrive_together() {
        let (one, mut other) = pair();
        other.check_caller().unwrap();
        one.check_server().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let sockets = Message::Sockets { names: vec!["a b".into(); 40], more: false, probation: true };
        let ask = Message::Order { order: Order::Reload, file: None };
        one.send(&ask).unwrap();
        one.send_with(&sockets, &[file.as_fd(); 40]).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(other.receive(second).unwrap(), ask);
        assert_eq!(other.receive(second).unwrap(), sockets);
        let descriptors = other.descriptors(64);
        assert_eq!(descriptors.len(), 40);
        let received = std::fs::File::from(descriptors.into_iter().next().unwrap());
        assert_eq!(received.metadata().unwrap().rdev(), file.metadata().unwrap().rdev());
    }

    #[test]
    fn silence_an_end_and_nonsense_are_told_apart() {
        let (mut one, mut other) = pair();
        let kind = |result: io::Result<Message>| result.unwrap_err().kind();
        assert_eq!(kind(other.receive(Duration::from_millis(20))), io::ErrorKind::TimedOut);
        one.stream.write_all(b"{\"sing\":1}\n").unwrap();
        assert_eq!(kind(other.receive(Duration::from_secs(1))), io::ErrorKind::InvalidData);
        drop(one);
        assert_eq!(kind(other.receive(Duration::from_secs(1))), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_open_connection_is_told_from_a_closed_one_whatever_was_sent() {
        let (one, other) = pair();
        assert!(!one.is_closed());
        other.send(&Message::Done).unwrap();
        assert!(!one.is_closed());
        other.send(&Message::Done).unwrap();
        drop(other);
        assert!(one.is_closed());
    }

    #[test]
    fn a_program_of_before_knows_no_probation() {
        let of = |line: &str| serde_json::from_str::<Message>(line).unwrap();
        let ask = of(r#"{"take_over":{"version":1,"pid":7,"file":null}}"#);
        assert!(matches!(ask, Message::TakeOver { several_sockets: false, probation: false, .. }));
        let sockets = of(r#"{"sockets":{"names":[],"more":false}}"#);
        assert!(matches!(sockets, Message::Sockets { probation: false, .. }));
    }
}
