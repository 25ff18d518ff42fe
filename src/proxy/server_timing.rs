//! `Server-Timing` (W3C Server Timing): where a response's time went, for whoever looks at the client's side.
//! The words are those of the access log.

use std::fmt::Write as _;
use std::time::Duration;

use http::HeaderValue;
use pingora_http::ResponseHeader;

use super::context::RequestCtx;
use crate::filter::Edited;

/// Tells the client, where the route wants that; beside what the upstream says of itself.
pub fn tell(response: &mut Edited<'_, ResponseHeader>, ctx: &RequestCtx) {
    if ctx.route().is_none_or(|route| !route.server_timing) {
        return;
    }
    let attempts = &ctx.attempts;
    let ttfb = Some(attempts.ttfb.unwrap_or_else(|| ctx.started.elapsed()));
    let value =
        value([("queue", attempts.queue), ("connect", attempts.connect), ("tls", attempts.tls), ("ttfb", ttfb)]);
    match HeaderValue::from_str(&value) {
        Ok(value) => response.append("Server-Timing", value),
        Err(e) => response.fail(&e),
    }
}

/// In milliseconds; what did not happen is left out.
fn value(parts: [(&str, Option<Duration>); 4]) -> String {
    let mut text = String::with_capacity(80);
    for (name, took) in parts {
        let Some(took) = took else { continue };
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        write!(text, "{comma}{name};dur={:.3}", took.as_secs_f64() * 1000.0).unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_happen_is_left_out() {
        let (some, ttfb) = (Some(Duration::from_micros(1_500)), Some(Duration::from_millis(20)));
        let parts = [("queue", None), ("connect", some), ("tls", None), ("ttfb", ttfb)];
        assert_eq!(value(parts), "connect;dur=1.500, ttfb;dur=20.000");
    }
}
