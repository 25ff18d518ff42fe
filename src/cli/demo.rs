//! `demo`: a service A on a free port, the proxy in front of it, one page that
//! shows everything; or the service alone.

use std::net::TcpListener;
use std::thread;

use clap::Args;
use proxy_service::server::{Ended, Start};
use proxy_service::{config, demo};

#[derive(Args, Debug)]
pub struct Demo {
    /// Where the proxy listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Starts service A alone, at this address, for a proxy of your own
    #[arg(long, value_name = "ADDRESS", conflicts_with = "listen")]
    service: Option<String>,
}

impl Demo {
    pub fn run(self) -> Result<Ended, String> {
        if let Some(address) = &self.service {
            let service = TcpListener::bind(address).map_err(|e| format!("error: cannot listen on {address}: {e}"))?;
            super::out::tell(&format!("service A listens on http://{address}; Ctrl-C ends it\n"));
            return serve(service).map(|()| Ended::Fine).map_err(|e| format!("error: service A ended: {e}"));
        }
        let service = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("error: {e}"))?;
        let address = service.local_addr().map_err(|e| format!("error: {e}"))?;
        let yaml = super::quick::yaml(&self.listen, &format!("http://{address}"));
        let config = super::check::accept(
            "(demo)",
            config::parse("(demo)", &format!("{yaml}{}", super::quick::ALONE), &|_| None),
        )?;
        thread::Builder::new()
            .name("service-a".to_owned())
            .spawn(move || {
                if let Err(e) = serve(service) {
                    log::error!("service A ended: {e}");
                }
            })
            .map_err(|e| format!("error: {e}"))?;
        super::out::tell(&format!(
            "service A listens on http://{address}\nopen http://{} to see it through the proxy; Ctrl-C ends both\n",
            self.listen
        ));
        super::serve::serve(&config, Start::default())
    }
}

fn serve(listener: TcpListener) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        demo::serve(tokio::net::TcpListener::from_std(listener)?).await
    })
}
