//! The site that somebody logs in to: by which scheme and host clients know the proxy.

use crate::filter::context::FilterRequest;
use crate::message::host;

#[derive(Clone, Copy, Debug)]
pub struct Site<'r> {
    scheme: &'static str,
    /// With its port.
    host: &'r str,
}

impl<'r> Site<'r> {
    pub fn of(request: &FilterRequest<'r>) -> Self {
        Self { scheme: request.scheme, host: request.known_as() }
    }

    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// Its name, to which cookies are bound: they know no ports.
    pub fn name(&self) -> String {
        let name = host::split(self.host).map_or(self.host, |(name, _)| name);
        host::normalize(name).into_owned()
    }

    /// The URL of a path here.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.host)
    }
}
