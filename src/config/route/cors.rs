//! `cors`: pages of which other origins may use a route.

use std::time::Duration;

use http::{HeaderName, Method};

use super::matching::{Match, ValuePattern};
use crate::config::section::{Fields, Form, Reader, Shape, Word, list, section, some_of};
use crate::config::value::{DURATION_OR_ZERO, HEADER_NAME, METHOD, OriginForm, OriginPattern};
use crate::config::yaml::{Kind, Node, Span, Yaml};

section! {
    /// Which pages of other origins may use the route, from a browser (CORS, in the Fetch standard).
    #[derive(Clone, Debug)]
    "`cors`" pub struct Cors {
        /// Origins such as `https://app.example.com`, `https://*.example.com` for all of its subdomains, or `*` for every page. `null`, which sandboxed frames send, is allowed only where it is listed.
        origins: Vec<OriginPattern>, required "[\"https://app.example.com\"]", with some_of(
            "origins such as `https://app.example.com`",
            OriginForm,
            ("no origin: no page of another one could use the route", Some("leave `cors` out for that")),
        );
        /// Methods that pages may use beside GET, HEAD and POST, which they always may; `*` for whichever one is asked for.
        methods: Option<Vec<Method>> = [], with EachOrAny(list("methods", METHOD));
        /// Header fields that pages may send beside those that they always may (Accept, Accept-Language, Content-Language, and a Content-Type of forms and plain text); `*` for whichever ones are asked for.
        headers: Option<Vec<HeaderName>> = [], with EachOrAny(list("header names", HEADER_NAME));
        /// Header fields of answers that pages may read beside those that they always may (Cache-Control, Content-Language, Content-Length, Content-Type, Expires, Last-Modified, Pragma); `*` for all.
        expose: Option<Vec<HeaderName>> = [], with EachOrAny(list("header names", HEADER_NAME));
        /// Whether requests may come with the cookies, client certificates and passwords that the browser has for this host.
        credentials: bool = false;
        /// How long a browser need not ask again, in whole seconds. Browsers have a bound of their own, of two hours or a day.
        max_age: Duration = "10m", with DURATION_OR_ZERO;
    }
    check Cors::check;
}

impl Cors {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let span = |key: &str| fields.get(key).map_or(fields.span, |node| node.span);
        let takes_any = self.origins.contains(&OriginPattern::Any);
        if takes_any && self.origins.len() > 1 {
            reader.error_help(span("origins"), "`*` allows every origin already", "remove the others, or the `*`");
        }
        if !self.credentials {
            return;
        }
        if takes_any {
            let message = "browsers refuse `*` with credentials: every site could act in the name of your users";
            reader.error_help(span("origins"), message, "list the origins, or set `credentials: false`");
        }
        if self.expose.is_none() {
            let message = "with credentials, browsers take `*` for a field of that name";
            reader.error_help(span("expose"), message, "list the fields");
        }
        if self.origins.contains(&OriginPattern::Null) {
            let message = "every site can make a page of the origin `null`, and would act in the name of your users";
            reader.warn(span("origins"), message, Some("remove `null`, or set `credentials: false`".to_owned()));
        }
    }

    /// Warns of conditions that no preflight meets: browsers would never be allowed in.
    pub fn warn_unreached(reader: &mut Reader<'_>, span: Span, conditions: &Match) {
        let reason = if !conditions.methods.is_empty() && !conditions.methods.contains(&Method::OPTIONS) {
            Some(("`match.method` has no OPTIONS", "add OPTIONS to it: the proxy itself answers preflights"))
        } else if conditions.headers.iter().any(|(name, pattern)| is_of_pages(name) && wants_presence(pattern)) {
            Some(("`match.header` wants a field that preflights do not have", "match by something else"))
        } else if conditions.cookies.iter().any(|(_, pattern)| wants_presence(pattern)) {
            Some(("`match.cookie` wants a cookie, and preflights have none", "match by something else"))
        } else {
            None
        };
        if let Some((why, help)) = reason {
            reader.warn(span, format!("preflights do not come to this route: {why}"), Some(help.to_owned()));
        }
    }
}

/// Whether a page, and not the browser, sends the field.
fn is_of_pages(name: &HeaderName) -> bool {
    let name = name.as_str();
    let of_browser = ["origin", "host", "user-agent", "referer", "accept", "accept-encoding", "accept-language"];
    !of_browser.contains(&name) && !name.starts_with("access-control-request-") && !name.starts_with("sec-")
}

fn wants_presence(pattern: &ValuePattern) -> bool {
    !matches!(pattern, ValuePattern::Absent)
}

/// A list, or `*` for whatever there is, which is `None`.
struct EachOrAny<F>(F);

const ANY: &str = "*";

impl<T, F: Form<Vec<T>>> Form<Option<Vec<T>>> for EachOrAny<F> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Option<Vec<T>>> {
        let is_any = |node: &Node| node.text() == Some(ANY);
        match &node.kind {
            Kind::Seq(items) if items.len() == 1 && items.iter().all(is_any) => Some(None),
            _ if is_any(node) => Some(None),
            _ => reader.or_words([ANY], |reader| self.0.read(reader, node)).map(Some),
        }
    }

    fn shape(&self) -> Shape {
        let any = || Shape::Words(vec![Word { word: ANY, doc: "Whatever there is." }]);
        Shape::Any(vec![self.0.shape(), any(), Shape::List { item: Box::new(any()), least: 1 }])
    }

    fn print(&self, value: &Option<Vec<T>>) -> Yaml {
        value.as_ref().map_or_else(|| Yaml::text(ANY), |items| self.0.print(items))
    }
}
