//! The floor: the least that a proxy on Pingora does, with our build profile,
//! allocator and scheduler. What we cost beyond it is ours.

use std::net::SocketAddr;

use async_trait::async_trait;
use clap::Args;
use pingora::apps::HttpServerOptions;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;
use pingora_proxy::ProxyServiceBuilder;

/// So many requests share a connection to an origin of HTTP/2; it is one if nobody says so.
const STREAMS: usize = 128;

#[derive(Debug, Args)]
pub struct Options {
    listen: String,
    origin: SocketAddr,
    threads: usize,
    /// Clients speak HTTP/2 in the clear
    #[arg(long)]
    h2c: bool,
    /// The origin speaks HTTP/2 in the clear
    #[arg(long)]
    h2c_origin: bool,
}

struct Floor {
    origin: SocketAddr,
    h2c: bool,
}

#[async_trait]
impl ProxyHttp for Floor {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.origin, false, String::new());
        if self.h2c {
            peer.options.set_http_version(2, 2);
            peer.options.max_h2_streams = STREAMS;
        }
        Ok(Box::new(peer))
    }
}

pub fn serve(options: &Options) -> crate::error::Result<()> {
    let threads = options.threads;
    let conf = ServerConf { threads, work_stealing: false, upstream_keepalive_pool_size: 512, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let floor = Floor { origin: options.origin, h2c: options.h2c_origin };
    let mut clients = HttpServerOptions::default();
    clients.h2c = options.h2c;
    let mut service = ProxyServiceBuilder::new(&server.configuration, floor).server_options(clients).build();
    service.add_tcp(&options.listen);
    server.add_service(service);
    server.run_forever()
}
