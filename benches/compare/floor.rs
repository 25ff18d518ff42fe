//! The floor: the least that a proxy on Pingora does, with our build profile,
//! allocator and scheduler. What we cost beyond it is ours.

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

struct Floor(SocketAddr);

#[async_trait]
impl ProxyHttp for Floor {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

pub fn serve(listen: &str, origin: SocketAddr, threads: usize) -> crate::error::Result<()> {
    let conf = ServerConf { threads, work_stealing: false, upstream_keepalive_pool_size: 512, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Floor(origin));
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}
