//! `cors`: which pages of other origins may use a route, as the Fetch standard has browsers ask
//! (section 3.2, "CORS protocol").
//!
//! A preflight never reaches the upstream: [`Preflight`] answers it, before any filter that wants
//! to know who the client is, because browsers send no credentials with it. Every other answer of
//! the route, the proxy's own as well, gets the fields of [`Sharing`], in place of the upstream's.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pingora_http::RequestHeader;

use super::cause::Cause;
use super::chain::{Chain, RequestFilter, ResponseFilter, Verdict};
use super::context::{FilterContext, ResponseContext};
use super::reply::Reply;
use super::vary::vary_by;
use crate::config::{Cors, FieldName, OriginPattern, Route};

pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let Some(cors) = &route.cors else { return Ok(()) };
    chain.request.push(Box::new(Preflight::new(cors)?));
    chain.response.push(Box::new(Sharing::new(cors)?));
    Ok(())
}

#[derive(Clone, Debug)]
struct Origins(Vec<OriginPattern>);

impl Origins {
    fn are_any(&self) -> bool {
        self.0.contains(&OriginPattern::Any)
    }

    /// The origin of the page that sent the request, if it may use the route. Two origins are none.
    fn allowed<'r>(&self, request: &'r RequestHeader) -> Option<&'r HeaderValue> {
        let mut origins = request.headers.get_all(header::ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none())?;
        let text = origin.to_str().ok()?;
        self.0.iter().any(|pattern| pattern.takes(text)).then_some(origin)
    }
}

/// What a preflight is told that a page may use.
#[derive(Debug)]
enum Offer {
    /// The list; `None` for an empty one.
    Listed(Option<HeaderValue>),
    /// Whatever was asked for: browsers take `*` literally in requests with credentials.
    Asked,
}

impl Offer {
    fn of(names: Option<Vec<&str>>) -> Result<Self, String> {
        names.map_or(Ok(Self::Asked), |names| joined(&names).map(Self::Listed))
    }

    fn value(&self, request: &RequestHeader, asked: &HeaderName) -> Option<HeaderValue> {
        match self {
            Self::Listed(list) => list.clone(),
            Self::Asked => request.headers.get(asked).cloned(),
        }
    }
}

fn joined(names: &[&str]) -> Result<Option<HeaderValue>, String> {
    if names.is_empty() {
        return Ok(None);
    }
    HeaderValue::try_from(names.join(", ")).map(Some).map_err(|e| e.to_string())
}

/// Answers the question that a browser asks before a request that a form could not make.
#[derive(Debug)]
struct Preflight {
    origins: Origins,
    methods: Offer,
    headers: Offer,
    max_age: HeaderValue,
}

const ASKED: &str = "Access-Control-Request-Method, Access-Control-Request-Headers";

impl Preflight {
    fn new(cors: &Cors) -> Result<Self, String> {
        let methods = cors.methods.as_ref().map(|methods| methods.iter().map(Method::as_str).collect());
        let headers = cors.headers.as_ref().map(|headers| headers.iter().map(HeaderName::as_str).collect());
        Ok(Self {
            origins: Origins(cors.origins.clone()),
            methods: Offer::of(methods)?,
            headers: Offer::of(headers)?,
            max_age: HeaderValue::from(cors.max_age.as_secs()),
        })
    }

    fn answer(&self, request: &RequestHeader) -> Reply {
        let offers = [
            ("Access-Control-Allow-Methods", self.methods.value(request, &header::ACCESS_CONTROL_REQUEST_METHOD)),
            ("Access-Control-Allow-Headers", self.headers.value(request, &header::ACCESS_CONTROL_REQUEST_HEADERS)),
            ("Access-Control-Max-Age", Some(self.max_age.clone())),
            ("Vary", Some(HeaderValue::from_static(ASKED))),
        ];
        let field = |(spelled, value): (&str, Option<HeaderValue>)| {
            let name = HeaderName::from_bytes(spelled.as_bytes()).ok()?;
            Some((FieldName { name, spelled: spelled.to_owned() }, value?))
        };
        let headers = offers.into_iter().filter_map(field).collect();
        Reply::Respond { status: StatusCode::NO_CONTENT, body: Bytes::new(), headers }
    }
}

/// An OPTIONS that is no preflight is the upstream's to answer.
fn is_preflight(request: &RequestHeader) -> bool {
    let has = |name| request.headers.contains_key(name);
    request.method == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD)
}

impl RequestFilter for Preflight {
    fn on_request(&self, cx: &mut FilterContext<'_>) -> Verdict {
        let request = cx.request.head;
        if !is_preflight(request) {
            return Verdict::Continue;
        }
        Verdict::Reply(match self.origins.allowed(request) {
            Some(_) => self.answer(request),
            None => Reply::Error(Cause::OriginRefused),
        })
    }
}

/// Tells the browser whether the page may read an answer.
#[derive(Debug)]
struct Sharing {
    origins: Origins,
    credentials: bool,
    expose: Option<HeaderValue>,
}

impl Sharing {
    fn new(cors: &Cors) -> Result<Self, String> {
        let expose = match &cors.expose {
            None => Some(HeaderValue::from_static("*")),
            Some(names) => joined(&names.iter().map(HeaderName::as_str).collect::<Vec<_>>())?,
        };
        Ok(Self { origins: Origins(cors.origins.clone()), credentials: cors.credentials, expose })
    }
}

impl ResponseFilter for Sharing {
    fn on_response(&self, cx: &mut ResponseContext<'_>) {
        if !is_preflight(cx.request.head) {
            // One of the two decides, or the browser sees two values and refuses both: also where a service
            // that was asked about the request has refused it.
            cx.response.retain(|name, _| !name.as_str().starts_with("access-control-"));
        }
        let origin = if self.origins.are_any() {
            // The same for everybody, so that no cache needs to tell clients apart.
            HeaderValue::from_static("*")
        } else {
            vary_by(&mut cx.response, "Origin");
            let Some(origin) = self.origins.allowed(cx.request.head) else { return };
            origin.clone()
        };
        cx.response.set("Access-Control-Allow-Origin", origin);
        if self.credentials {
            cx.response.set("Access-Control-Allow-Credentials", HeaderValue::from_static("true"));
        }
        if let Some(expose) = self.expose.as_ref().filter(|_| !is_preflight(cx.request.head)) {
            cx.response.set("Access-Control-Expose-Headers", expose.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::asked;
    use super::super::context::{FilterRequest, Origin, ResponseContext};
    use super::super::fields::Edited;
    use super::super::fields::tests::response_lines;
    use super::super::rare_fields::RareFields;
    use super::super::{Findings, compile};
    use super::*;
    use pingora_http::ResponseHeader;

    type Fields<'f> = &'f [(&'static str, &'static str)];

    fn chain(cors: &str) -> Chain {
        let text = format!("listeners: [':80']\nroutes: [{{ respond: {{}}, cors: {{ {cors} }} }}]\n");
        let (config, _) = crate::config::parse("test.yaml", &text, &|_| None).unwrap();
        compile(&config.routes[0], None).unwrap()
    }

    fn with_request<T>(method: &str, fields: Fields<'_>, then: impl FnOnce(FilterRequest<'_>) -> T) -> T {
        let mut head = RequestHeader::build(method, b"/", None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        asked("/", |request| then(FilterRequest { head: &head, ..*request }))
    }

    /// What the filter answers by itself: a status, and the fields of a preflight's answer.
    fn decided(cors: &str, method: &str, fields: Fields<'_>) -> Option<(u16, Vec<String>)> {
        with_request(method, fields, |request| {
            match chain(cors).on_request(&mut FilterContext { request, findings: &mut Findings::default() }) {
                Verdict::Continue => None,
                Verdict::Reply(Reply::Respond { status, headers, .. }) => {
                    let line = |(name, value): (FieldName, HeaderValue)| {
                        format!("{}: {}", name.spelled, value.to_str().unwrap())
                    };
                    Some((status.as_u16(), headers.into_iter().map(line).collect()))
                }
                Verdict::Reply(Reply::Error(cause)) => Some((cause.status(), Vec::new())),
                Verdict::Reply(other @ (Reply::Redirect { .. } | Reply::ExchangeCode(_))) => panic!("{other:?}"),
            }
        })
    }

    /// The fields of an upstream's response to a GET from there.
    fn shared(cors: &str, origin: Fields<'_>, said: Fields<'_>) -> Vec<String> {
        let upstream = Origin::Upstream { authorities: &[], rare: RareFields::default() };
        shared_by(upstream, cors, origin, said)
    }

    fn shared_by(by: Origin<'_>, cors: &str, origin: Fields<'_>, said: Fields<'_>) -> Vec<String> {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in said {
            response.append_header(*name, *value).unwrap();
        }
        with_request("GET", origin, |request| {
            let cx = ResponseContext { request, response: Edited::new(&mut response), origin: by };
            chain(cors).on_response(cx).unwrap();
        });
        response_lines(&response)
    }

    const HERE: (&str, &str) = ("Origin", "https://a.test");
    const THERE: (&str, &str) = ("Origin", "https://b.test");
    const PUT: (&str, &str) = ("Access-Control-Request-Method", "PUT");

    #[test]
    fn a_preflight_is_answered_and_nothing_else() {
        let cors = "origins: ['https://a.test'], methods: [PUT, DELETE], headers: [X-A, content-type]";
        let vary = format!("Vary: {ASKED}");
        assert_eq!(
            decided(cors, "OPTIONS", &[HERE, PUT]),
            Some((
                204,
                vec![
                    "Access-Control-Allow-Methods: PUT, DELETE".to_owned(),
                    "Access-Control-Allow-Headers: x-a, content-type".to_owned(),
                    "Access-Control-Max-Age: 600".to_owned(),
                    vary.clone(),
                ]
            ))
        );
        assert_eq!(decided(cors, "OPTIONS", &[THERE, PUT]), Some((403, vec![])));
        assert_eq!(decided(cors, "OPTIONS", &[HERE, HERE, PUT]), Some((403, vec![])));
        for (method, fields) in
            [("OPTIONS", &[HERE][..]), ("OPTIONS", &[PUT]), ("OPTIONS", &[]), ("PUT", &[HERE, PUT]), ("GET", &[THERE])]
        {
            assert_eq!(decided(cors, method, fields), None, "{method} {fields:?}");
        }
        let least = "origins: ['*'], max_age: 0s";
        assert_eq!(
            decided(least, "OPTIONS", &[THERE, PUT]),
            Some((204, vec!["Access-Control-Max-Age: 0".to_owned(), vary]))
        );
    }

    #[test]
    fn whatever_is_asked_for_may_be_allowed() {
        let cors = "origins: ['https://a.test'], methods: '*', headers: ['*'], credentials: true";
        let fields = [HERE, PUT, ("Access-Control-Request-Headers", "authorization,x-b")];
        let (_, lines) = decided(cors, "OPTIONS", &fields).unwrap();
        assert_eq!(
            lines[..2],
            ["Access-Control-Allow-Methods: PUT", "Access-Control-Allow-Headers: authorization,x-b"]
        );
        let (_, lines) = decided(cors, "OPTIONS", &fields[..2]).unwrap();
        assert_eq!(lines[..2], ["Access-Control-Allow-Methods: PUT", "Access-Control-Max-Age: 600"]);
    }

    #[test]
    fn an_answer_is_for_its_origin_and_says_so_once() {
        let cors = "origins: ['https://a.test', null], credentials: true, expose: [X-Total]";
        let fields = [
            "Vary: Origin",
            "Access-Control-Allow-Origin: https://a.test",
            "Access-Control-Allow-Credentials: true",
            "Access-Control-Expose-Headers: x-total",
        ];
        assert_eq!(shared(cors, &[HERE], &[("Vary", "Origin")]), fields);
        let upstreams = [
            ("Access-Control-Allow-Origin", "*"),
            ("Vary", "Origin"),
            ("access-control-allow-credentials", "false"),
            ("Access-Control-Max-Age", "5"),
        ];
        assert_eq!(shared(cors, &[HERE], &upstreams), fields);
        for elsewhere in [&[][..], &[THERE], &[HERE, THERE]] {
            assert_eq!(shared(cors, elsewhere, &upstreams), ["Vary: Origin"], "{elsewhere:?}");
        }
        assert_eq!(shared(cors, &[("Origin", "null")], &upstreams)[1], "Access-Control-Allow-Origin: null");
        // The answer of a service that was asked and refuses is the proxy's own.
        assert_eq!(shared_by(Origin::Local, cors, &[HERE], &upstreams), fields);
        assert_eq!(shared_by(Origin::Local, cors, &[THERE], &upstreams), ["Vary: Origin"]);
    }

    /// Fetch, "CORS protocol and HTTP caches": what is the same for all needs no Vary.
    #[test]
    fn an_answer_for_every_origin_is_the_same_for_all() {
        for from in [&[][..], &[HERE], &[("Origin", "null")]] {
            let lines = shared("origins: ['*'], expose: '*'", from, &[]);
            assert_eq!(lines, ["Access-Control-Allow-Origin: *", "Access-Control-Expose-Headers: *"], "{from:?}");
        }
    }
}
