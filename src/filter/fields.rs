//! Edits of the fields of a message that keep the order and the spelling of all other
//! fields.

use std::ops::Deref;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use pingora_http::{IntoCaseHeaderName, RequestHeader, ResponseHeader};

use super::cause::Cause;
use super::editable::EditableHead;
use crate::http1::field_names::Known;
use crate::http1::spelling::is;

/// A head that is edited.
///
/// Pingora parses names and counts fields anew with each edit, and can refuse it. Names
/// and values that were checked before are never refused; but an edit that failed
/// unseen could let a secret out. So `Edited` remembers that one failed, and whoever
/// would send the head asks [`Edited::outcome`] first.
#[derive(Debug)]
pub struct Edited<'h, H> {
    head: &'h mut H,
    failed: bool,
}

impl<H> Deref for Edited<'_, H> {
    type Target = H;

    fn deref(&self) -> &H {
        self.head
    }
}

impl<'h, H: EditableHead> Edited<'h, H> {
    pub fn new(head: &'h mut H) -> Self {
        Self { head, failed: false }
    }

    /// Replaces all fields of that name by one, in the place of the first of them.
    pub fn set(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) {
        let result = self.head.insert(name, value);
        self.note(result);
    }

    /// Appends a field and leaves others of its name.
    pub fn append(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) {
        let result = self.head.append(name, value);
        self.note(result);
    }

    /// Drops fields and leaves the others in their order. A header map's own removal
    /// moves its last field into the gap, which is right for the last ones only.
    pub fn retain(&mut self, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) {
        match unwanted(self.head.fields(), &keep) {
            Unwanted::None => {}
            Unwanted::Last(names) => names.iter().rev().for_each(|name| self.head.remove(name)),
            Unwanted::Between => {
                let kept = self.head.with_fields(keep).map(|kept| *self.head = kept);
                self.note(kept);
            }
        }
    }

    /// Takes note of an edit whose value could not be made.
    pub fn fail(&mut self, why: &dyn std::fmt::Display) {
        log::debug!("an edit failed: {why}");
        self.failed = true;
    }

    /// Whether the head may be sent.
    ///
    /// # Errors
    /// When an edit did not succeed.
    pub fn outcome(&self) -> Result<(), Cause> {
        if self.failed { Err(Cause::Internal) } else { Ok(()) }
    }

    fn note(&mut self, result: pingora::Result<()>) {
        if let Err(e) = result {
            self.fail(&e);
        }
    }
}

impl Edited<'_, RequestHeader> {
    /// As [`Edited::append`], of those that there are: a head without spellings has its table opened once, and
    /// enlarged once.
    pub fn append_all<const N: usize>(&mut self, fields: [Option<(&'static Known, HeaderValue)>; N]) {
        let fields = fields.into_iter().flatten();
        if !self.head.is_its_parts() {
            return fields.for_each(|(known, value)| self.append(known.spelled, value));
        }
        let result = self.head.edit_table(|table| {
            table.try_reserve(N)?;
            fields.into_iter().try_for_each(|(known, value)| table.try_append(known.name.clone(), value).map(|_| ()))
        });
        self.note(result);
    }

    /// # Errors
    /// When it is none, or none that Pingora can carry.
    pub fn set_target(&mut self, target: &str) -> Result<(), Cause> {
        self.head.set_raw_path(target.as_bytes()).map_err(|e| {
            log::debug!("an edited target cannot be sent: {e}");
            Cause::TargetInvalid
        })
    }
}

impl Edited<'_, ResponseHeader> {
    /// As [`Edited::set`], of a name that needs not be parsed.
    pub fn set_known(&mut self, known: &'static Known, value: HeaderValue) {
        if !self.head.is_its_parts() {
            return self.set(known.spelled, value);
        }
        let result = self.head.edit_table(|table| table.try_insert(known.name.clone(), value).map(drop));
        self.note(result);
    }

    /// As [`Edited::set`], under the name as the origin spelled it.
    pub fn replace(&mut self, name: HeaderName, value: HeaderValue) {
        let own = self.case_header_iter().find(|(spelled, _)| is(spelled.as_slice(), &name));
        let own = own.map(|(spelled, _)| spelled.clone());
        let result = match own {
            Some(spelled) => self.head.insert_header(spelled, value),
            None => self.head.insert_header(name, value),
        };
        self.note(result);
    }
}

/// Where in a header map the fields stand that shall go.
#[derive(Debug, PartialEq, Eq)]
enum Unwanted {
    None,
    /// They are the last ones, in their order.
    Last(Vec<HeaderName>),
    Between,
}

/// One pass; nothing is allocated where nothing goes.
fn unwanted(headers: &HeaderMap, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> Unwanted {
    let mut last = Vec::new();
    for name in headers.keys() {
        if !keep(name, headers) {
            last.push(name.clone());
        } else if !last.is_empty() {
            return Unwanted::Between;
        }
    }
    if last.is_empty() { Unwanted::None } else { Unwanted::Last(last) }
}

#[cfg(test)]
pub(super) mod tests {
    use http::Version;

    use super::*;
    use crate::http1::field_names;
    use crate::http1::spelling::{self, usual_request, usual_response};

    /// The fields of a request as they go over the wire.
    pub fn lines(request: &RequestHeader) -> Vec<String> {
        spelling::request_fields(request).map(|(name, value)| line(&name.to_text(), value)).collect()
    }

    /// The fields of a response as they go over the wire.
    pub fn response_lines(response: &ResponseHeader) -> Vec<String> {
        spelling::response_fields(response).map(|(name, value)| line(&name.to_text(), value)).collect()
    }

    fn line(name: &str, value: &HeaderValue) -> String {
        format!("{name}: {}", value.to_str().unwrap())
    }

    /// Heads of HTTP/2 say nothing of how their names are spelled.
    #[test]
    fn what_came_over_http_2_keeps_its_other_fields() {
        let fields = [("a", "1"), ("te", "trailers"), ("b", "2"), ("a", "3")];
        let (mut request, mut response) = (
            RequestHeader::build_no_case("GET", b"/x", None).unwrap(),
            ResponseHeader::build_no_case(200, None).unwrap(),
        );
        for (name, value) in fields {
            request.append_header(name, value).unwrap();
            response.append_header(name, value).unwrap();
        }
        let mut edited = Edited::new(&mut request);
        edited.retain(|name, _| name != "te");
        edited.set("X-New", HeaderValue::from_static("4"));
        assert_eq!(edited.outcome(), Ok(()));
        Edited::new(&mut response).retain(|name, _| name != "te");
        let values =
            |headers: &HeaderMap| headers.iter().map(|(_, v)| v.to_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(
            (values(&request.headers), request.raw_path()),
            (["1", "3", "2", "4"].map(str::to_owned).to_vec(), &b"/x"[..])
        );
        assert_eq!(values(&response.headers), ["1", "3", "2"]);
    }

    #[test]
    fn the_last_ones_are_told_from_others() {
        let headers: HeaderMap =
            ["a", "b", "c"].into_iter().map(|n| (HeaderName::from_static(n), HeaderValue::from_static("1"))).collect();
        let without = |gone: &'static str| unwanted(&headers, move |name, _| !gone.contains(name.as_str()));
        assert_eq!(without(""), Unwanted::None);
        assert_eq!(without("bc"), Unwanted::Last(vec![HeaderName::from_static("b"), HeaderName::from_static("c")]));
        assert_eq!(without("b"), Unwanted::Between);
    }

    #[test]
    fn a_head_that_is_made_anew_keeps_the_rest() {
        let mut response = ResponseHeader::build(200, None).unwrap();
        response.set_reason_phrase(Some("Fine")).unwrap();
        response.extensions_mut().insert(7_u8);
        for name in ["A", "gone", "eTag"] {
            response.append_header(name, "1").unwrap();
        }
        let mut edited = Edited::new(&mut response);
        edited.retain(|name, _| name != "gone");
        assert_eq!(edited.outcome(), Ok(()));
        assert_eq!(response_lines(&response), ["A: 1", "eTag: 1"]);
        assert_eq!((response.get_reason_phrase(), response.extensions.get()), (Some("Fine"), Some(&7_u8)));
    }

    #[test]
    fn several_fields_are_appended_alike_to_any_head() {
        let known = |name: &str| field_names::spelled(name.as_bytes()).unwrap();
        let value = |text: &'static str| HeaderValue::from_static(text);
        let fields = || HeaderMap::from_iter([(HeaderName::from_static("a"), value("1"))]);
        let mut heads = [
            usual_request(http::Method::PUT, b"/x?y", fields()).unwrap(),
            usual_request(http::Method::PUT, b"http://h.test/", fields()).unwrap(),
            RequestHeader::build("PUT", b"/", None).unwrap(),
        ];
        heads[0].set_version(Version::HTTP_2);
        heads[0].set_send_end_stream(false);
        heads[0].extensions_mut().insert(7_u8);
        heads[2].append_header("a", "1").unwrap();
        for head in &mut heads {
            let (target, version) = (head.raw_path().to_vec(), head.version);
            let mut edited = Edited::new(head);
            edited.append_all([Some((known("ETag"), value("2"))), None, Some((known("Host"), value("3")))]);
            assert_eq!(edited.outcome(), Ok(()));
            let lines: Vec<String> = lines(head).iter().map(|line| line.to_ascii_lowercase()).collect();
            assert_eq!(lines, ["a: 1", "etag: 2", "host: 3"]);
            assert_eq!((head.raw_path(), head.version, head.method.as_str()), (&target[..], version, "PUT"));
        }
        assert_eq!((heads[0].send_end_stream(), heads[0].extensions.get()), (Some(false), Some(&7_u8)));
    }

    /// Of names that had their usual spelling until then.
    #[test]
    fn a_name_that_is_spelled_in_its_own_way_stays_so() {
        let fields = || {
            let pairs = [("etag", "1"), ("x-a", "2")];
            pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect::<HeaderMap>()
        };
        let mut request = usual_request(http::Method::GET, b"http://h.test/a?b", fields()).unwrap();
        let mut response = usual_response(http::StatusCode::OK, fields());
        response.set_reason_phrase(Some("Fine")).unwrap();
        let value = HeaderValue::from_static("3");
        let (mut up, mut down) = (Edited::new(&mut request), Edited::new(&mut response));
        up.set("X-New", value.clone());
        down.append("X-New", value.clone());
        assert!(!up.has_case() && !down.has_case());
        up.append("x-OWN", value.clone());
        down.set("x-OWN", value);
        assert_eq!((up.outcome(), down.outcome()), (Ok(()), Ok(())));
        let expected = ["ETag: 1", "X-A: 2", "X-New: 3", "x-OWN: 3"];
        assert_eq!(
            (lines(&request), response_lines(&response)),
            (expected.map(str::to_owned).to_vec(), expected.map(str::to_owned).to_vec())
        );
        assert_eq!((request.raw_path(), response.get_reason_phrase()), (&b"http://h.test/a?b"[..], Some("Fine")));
    }

    #[test]
    fn a_known_field_replaces_others_of_its_name_in_any_head() {
        let etag = field_names::spelled(b"ETag").unwrap();
        let usual =
            || usual_response(http::StatusCode::OK, HeaderMap::from_iter([(etag.name.clone(), "1".parse().unwrap())]));
        let mut heads = [usual(), usual(), ResponseHeader::build(200, None).unwrap()];
        heads[1].set_reason_phrase(Some("Fine")).unwrap();
        heads[2].append_header("Etag", "1").unwrap();
        for (head, reason) in heads.iter_mut().zip(["OK", "Fine", "OK"]) {
            head.set_version(Version::HTTP_10);
            let mut edited = Edited::new(head);
            edited.set_known(etag, HeaderValue::from_static("2"));
            assert_eq!(edited.outcome(), Ok(()));
            assert_eq!(response_lines(head), ["ETag: 2"]);
            assert_eq!((head.get_reason_phrase(), head.version), (Some(reason), Version::HTTP_10));
        }
    }

    #[test]
    fn an_edit_that_failed_is_not_forgotten() {
        let mut response = ResponseHeader::build(200, None).unwrap();
        let mut edited = Edited::new(&mut response);
        edited.set("X-Good", HeaderValue::from_static("1"));
        assert_eq!(edited.outcome(), Ok(()));
        edited.set("no name", HeaderValue::from_static("1"));
        edited.append("X-Good", HeaderValue::from_static("2"));
        assert_eq!(edited.outcome(), Err(Cause::Internal));
    }
}
