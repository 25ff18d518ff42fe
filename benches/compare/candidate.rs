//! The proxies that are compared: how each is configured, started and stopped.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::behind::Behind;
use crate::error::Result;
use crate::folder::Folder;
use crate::front::Front;
use crate::kind::Kind;
use crate::process::Guard;

const READY_WITHIN: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub name: String,
    pub kind: Kind,
    /// The version that the program prints.
    pub version: String,
}

/// What a case asks of a proxy's configuration.
#[derive(Clone, Debug)]
pub struct Setup {
    pub threads: usize,
    pub servers: Vec<SocketAddr>,
    pub routes: usize,
    pub log: bool,
    pub front: Front,
    pub behind: Behind,
    /// The folder of the certificates.
    pub certificates: PathBuf,
}

impl Candidate {
    /// # Errors
    /// In words, when it is not installed.
    pub fn find(name: &str, ours: &Path) -> Result<Self> {
        let kind = match name.split_once('=') {
            Some((_, path)) => Kind::Ours(path.into()),
            None => match name {
                "ours" => Kind::Ours(ours.to_owned()),
                "nginx" => Kind::Nginx,
                "haproxy" => Kind::Haproxy,
                "caddy" => Kind::Caddy,
                "pingap" => {
                    let built = Path::new("target/rivals/bin/pingap");
                    Kind::Pingap(if built.exists() { fs::canonicalize(built)? } else { "pingap".into() })
                }
                "floor" => Kind::Floor,
                other => return Err(format!("no candidate is called `{other}`").into()),
            },
        };
        let name = name.split('=').next().unwrap_or(name).to_owned();
        let version = kind.version().ok_or_else(|| {
            format!("{name} cannot be run and is left out; `scripts/bench-setup rivals` installs what it can")
        })?;
        Ok(Self { name, kind, version })
    }

    /// Starts the proxy with a configuration and waits until it is ready.
    pub fn start(&self, setup: &Setup) -> Result<Running> {
        let folder = Folder::new()?;
        let address = free_address()?;
        let mut command = self.kind.command(&folder.0, address, setup)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(folder.0.join("stderr"))?);
        command.env("RUNTIME_DIRECTORY", &folder.0).env("HOME", &folder.0);
        let child = command.spawn().map_err(|e| format!("{} cannot be started: {e}", self.name))?;
        let mut running = Running { process: Guard(child), address, folder };
        running.await_ready().map_err(|e| format!("{}: {e}", self.name))?;
        Ok(running)
    }
}

impl Kind {
    fn command(&self, folder: &Path, address: SocketAddr, setup: &Setup) -> Result<Command> {
        let (template, file) = match self {
            Self::Ours(_) => (include_str!("conf/pingora-proxy.yaml"), "pingora-proxy.yaml"),
            Self::Nginx => (include_str!("conf/nginx.conf"), "nginx.conf"),
            Self::Haproxy => (include_str!("conf/haproxy.cfg"), "haproxy.cfg"),
            Self::Caddy => (include_str!("conf/Caddyfile"), "Caddyfile"),
            Self::Pingap(_) => (include_str!("conf/pingap.toml"), "pingap.toml"),
            Self::Floor => ("", "none"),
        };
        let path = folder.join(file);
        let text = template
            .replace("{address}", &address.to_string())
            .replace("{threads}", &setup.threads.to_string())
            .replace("{folder}", &folder.display().to_string())
            .replace("{log}", &self.log(folder, setup.log))
            .replace("{listen}", &setup.front.listen(self, address, &setup.certificates))
            .replace("{tls}", &setup.front.caddy_tls(&setup.certificates))
            .replace("{protocols}", setup.front.caddy_protocols())
            .replace("{servers}", &setup.behind.servers(self, &setup.servers))
            .replace("{upstream}", setup.behind.upstream(self))
            .replace("{routes}", &routes(setup.routes));
        fs::write(&path, text)?;
        let program = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).arg(&path);
            command
        };
        Ok(match self {
            Self::Ours(binary) => program(&fs::canonicalize(binary)?, &["-c"]),
            Self::Nginx => program(Path::new("nginx"), &["-c"]),
            Self::Haproxy => program(Path::new("haproxy"), &["-db", "-f"]),
            Self::Caddy => {
                let mut command = program(Path::new("caddy"), &["run", "--adapter", "caddyfile", "--config"]);
                command.env("GOMAXPROCS", setup.threads.to_string());
                command
            }
            Self::Pingap(binary) => program(binary, &["-c"]),
            Self::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                let origin = setup.servers.first().ok_or("no origin")?;
                command.args(["floor", &address.to_string(), &origin.to_string(), &setup.threads.to_string()]);
                command.args((setup.front == Front::H2c).then_some("--h2c"));
                command.args((setup.behind == Behind::Grpc).then_some("--h2c-origin"));
                command
            }
        })
    }

    fn log(&self, folder: &Path, on: bool) -> String {
        let file = folder.join("access.log");
        match (self, on) {
            (Self::Caddy, true) => format!("log {{\n\t\toutput file {}\n\t}}", file.display()),
            (Self::Caddy, false) => String::new(),
            (Self::Nginx, true) => format!("{} combined", file.display()),
            (_, true) => file.display().to_string(),
            (_, false) => "off".to_owned(),
        }
    }
}

/// Routes that all lead to the one upstream; the last one takes what no other takes.
fn routes(count: usize) -> String {
    let prefixes = (1..count).map(|n| format!("  - {{ match: {{ path: /service-{n}/ }}, upstream: origin }}\n"));
    prefixes.chain(["  - { upstream: origin }\n".to_owned()]).collect()
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A proxy that is ended when it is dropped.
#[derive(Debug)]
pub struct Running {
    process: Guard,
    pub address: SocketAddr,
    folder: Folder,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// The bytes of the access log so far.
    pub fn logged(&self) -> u64 {
        fs::metadata(self.folder.0.join("access.log")).map_or(0, |log| log.len())
    }

    fn await_ready(&mut self) -> Result<()> {
        let said = self.folder.0.join("stderr");
        let ready = self.process.await_listening(self.address, READY_WITHIN);
        ready.map_err(|e| format!("{e}: {}", fs::read_to_string(said).unwrap_or_default().trim()).into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let child = &mut self.process.0;
        // nginx's workers end with their master only when it is asked to end.
        rustix::process::kill_process(Pid::from_child(child), Signal::TERM).ok();
        let began = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(2) {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
