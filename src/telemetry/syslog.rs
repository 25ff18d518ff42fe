//! A log that a syslog daemon takes: one datagram a line, over its socket on this machine or over
//! UDP (RFC 5426).

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::SystemTime;

use super::not_written::NotWritten;
use super::time::push_timestamp;
use crate::config::{Address, Syslog};

/// What a datagram holds over UDP with room for its headers; the rest of a longer line is cut.
const LONGEST: usize = 60_000;
/// RFC 5424 section 6.2.1.
const INFORMATIONAL: u8 = 6;

#[derive(Debug)]
pub struct SyslogSink {
    to: Address,
    socket: Option<Socket>,
    /// What stands in front of each message but its time.
    head: Head,
    message: Vec<u8>,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Socket {
    fn open(to: &Address) -> io::Result<Self> {
        match to {
            Address::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Self::Unix(socket))
            }
            Address::Tcp(address) => {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                // So that the system tells when nobody listens there.
                socket.connect(address)?;
                Ok(Self::Udp(socket))
            }
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message),
            Self::Udp(socket) => socket.send(message),
        }
        .map(drop)
    }
}

#[derive(Debug)]
enum Head {
    /// As syslog(3) writes to the daemon of its own machine, without the time, which that knows:
    /// here it would be that of another time zone than the daemon's.
    Local(String),
    /// RFC 5424 section 6: what stands before the time, and behind it.
    Network(String, String),
}

impl Head {
    fn new(syslog: &Syslog) -> Self {
        let (priority, tag, pid) = (syslog.facility.code() * 8 + INFORMATIONAL, &syslog.tag, std::process::id());
        match syslog.syslog {
            Address::Unix(_) => Self::Local(format!("<{priority}>{tag}[{pid}]: ")),
            Address::Tcp(_) => Self::Network(format!("<{priority}>1 "), format!(" {} {tag} {pid} access - ", host())),
        }
    }

    fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Local(head) => out.extend_from_slice(head.as_bytes()),
            Self::Network(before, behind) => {
                out.extend_from_slice(before.as_bytes());
                push_timestamp(out, SystemTime::now());
                out.extend_from_slice(behind.as_bytes());
            }
        }
    }
}

/// The machine's name; `-` stands for none.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let is_plain = !name.is_empty() && name.len() <= 255 && name.bytes().all(|b| b.is_ascii_graphic());
    if is_plain { name.to_owned() } else { "-".to_owned() }
}

impl SyslogSink {
    /// The daemon need not be there yet.
    pub fn new(syslog: &Syslog) -> Self {
        let to = syslog.syslog.clone();
        Self { socket: None, to, head: Head::new(syslog), message: Vec::new() }
    }

    pub fn name(&self) -> String {
        format!("syslog at {}", self.to)
    }

    /// # Errors
    /// With what was lost. After a failure the daemon is looked for once; when it is not there, the
    /// remaining lines are lost together.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), NotWritten> {
        let (mut lost, mut failure, mut rest) = (0, None, lines);
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end);
            self.message.clear();
            self.head.push(&mut self.message);
            self.message.extend_from_slice(line);
            self.message.truncate(LONGEST);
            match self.send() {
                Ok(refused) => {
                    lost += u64::from(refused);
                    failure = failure.or_else(|| refused.then(|| ErrorKind::ConnectionRefused.into()));
                }
                Err(e) => {
                    let others = NotWritten::all_of(rest, e);
                    return Err(NotWritten { lines: lost + others.lines, ..others });
                }
            }
            rest = behind.get(1..).unwrap_or_default();
        }
        failure.map_or(Ok(()), |failure| Err(NotWritten { lines: lost, failure }))
    }

    /// Says whether the system reported that the datagram before this one was refused, as it does
    /// for UDP.
    fn send(&mut self) -> io::Result<bool> {
        let mut refused = false;
        if let Some(socket) = &self.socket {
            match socket.send(&self.message) {
                Ok(()) => return Ok(false),
                Err(e) => refused = matches!(socket, Socket::Udp(_)) && e.kind() == ErrorKind::ConnectionRefused,
            }
        }
        self.socket = None;
        let socket = Socket::open(&self.to)?;
        socket.send(&self.message)?;
        self.socket = Some(socket);
        Ok(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Facility;
    use std::time::Duration;

    fn sink(syslog: Address) -> SyslogSink {
        SyslogSink::new(&Syslog { syslog, facility: Facility::Local7, tag: "web".to_owned() })
    }

    fn received(read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> String {
        let mut bytes = vec![0; 100_000];
        let count = read(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[test]
    fn a_daemon_of_this_machine_gets_what_it_expects_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("here");
        let mut sink = sink(Address::Unix(path.clone()));
        assert_eq!(sink.write(b"a\nb\n").unwrap_err().lines, 2, "nobody is there");
        for _ in 0..2 {
            let daemon = UnixDatagram::bind(&path).unwrap();
            daemon.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            sink.write(b"one\ntwo\n").unwrap();
            let head = format!("<190>web[{}]: ", std::process::id());
            for line in ["one", "two"] {
                assert_eq!(received(|bytes| daemon.recv(bytes)), format!("{head}{line}"));
            }
            std::fs::remove_file(&path).unwrap();
        }
        assert_eq!(sink.write(b"c\n").unwrap_err().lines, 1);
    }

    #[test]
    fn a_daemon_elsewhere_gets_rfc_5424_and_long_lines_are_cut() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        daemon.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut sink = sink(Address::Tcp(daemon.local_addr().unwrap()));
        sink.write(format!("one\n{}\n", "x".repeat(70_000)).as_bytes()).unwrap();
        let text = received(|bytes| daemon.recv(bytes));
        let words: Vec<&str> = text.split(' ').collect();
        assert!(words[0] == "<190>1" && words[1].ends_with('Z') && words[3] == "web", "{text}");
        assert_eq!(words[5..], ["access", "-", "one"]);
        assert_eq!(received(|bytes| daemon.recv(bytes)).len(), LONGEST);
        // Nobody listens any more: the system tells with the next datagram.
        drop(daemon);
        let lost: u64 = (0..10).filter_map(|_| sink.write(b"x\n").err()).map(|lost| lost.lines).sum();
        assert!((1..=10).contains(&lost), "{lost}");
    }
}
