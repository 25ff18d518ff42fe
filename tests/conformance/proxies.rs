//! The proxies that are asked: ours, and nginx and HAProxy where they are installed, in the
//! configurations of `benches/compare/conf/`.

use std::any::Any;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Folder, Process, Proxy, await_until, free_port};

/// A proxy, and where it speaks HTTP/1 and HTTP/2 in the clear.
pub struct Running {
    pub http1: SocketAddr,
    pub http2: SocketAddr,
    /// Ends with it.
    _guard: Box<dyn Any>,
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

pub fn ours(origin: SocketAddr) -> Running {
    let http2 = address();
    let proxy = Proxy::start(&format!(
        "listeners: ['{{listen}}', {{ address: '{http2}', http2: true }}]\nroutes: [{{ upstream: '{origin}' }}]\n"
    ));
    Running { http1: proxy.address, http2, _guard: Box::new(proxy) }
}

/// The program, where it is installed, and what it calls its version.
pub fn version_of(program: &str) -> Option<(PathBuf, String)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(program)).find(|path| path.is_file())?;
    let output = Command::new(&found).arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let version = text.split([' ', '/', '-', '\n']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some((found, version.to_owned()))
}

/// What stands at `{upstream}` in the file of nginx, as in the comparison.
const NGINX_UPSTREAM: &str = "proxy_pass http://origin; proxy_http_version 1.1; \
                              proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade_or_nothing;";

pub fn nginx(program: &Path, origin: SocketAddr) -> Running {
    let text = include_str!("../../benches/compare/conf/nginx.conf").replace("{upstream}", NGINX_UPSTREAM);
    let text = text.replace("{servers}", &format!("    server {origin};"));
    start(program, &text, "listen", ";", "http2;", |file| vec!["-c".to_owned(), file])
}

pub fn haproxy(program: &Path, origin: SocketAddr) -> Running {
    let text =
        include_str!("../../benches/compare/conf/haproxy.cfg").replace("{servers}", &format!("  server a {origin}"));
    start(program, &text, "bind", "", "proto h2", |file| vec!["-db".to_owned(), "-f".to_owned(), file])
}

/// `listen` is the word for a listener, with what stands behind the address for each protocol.
fn start(
    program: &Path,
    text: &str,
    listen: &str,
    plain: &str,
    http2_words: &str,
    arguments: impl Fn(String) -> Vec<String>,
) -> Running {
    let (http1, http2, folder) = (address(), address(), Folder::new());
    let place = folder.0.to_str().unwrap().to_owned();
    let listeners = format!("{listen} {http1}{plain}\n  {listen} {http2} {http2_words}");
    let text = text.replace("{listen}", &listeners).replace("{threads}", "1").replace("{folder}", &place);
    let file = folder.write("proxy.conf", &text.replace("{log}", "off"));
    let mut command = Command::new(program);
    command.args(arguments(file.to_str().unwrap().to_owned())).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process(command.spawn().unwrap());
    await_until("another proxy", || TcpStream::connect(http1).is_ok());
    Running { http1, http2, _guard: Box::new((process, folder)) }
}
