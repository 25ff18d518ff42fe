//! `grpc_web` of a route: calls of gRPC-Web, which browsers make because they can neither see
//! trailers nor choose a protocol, become calls of gRPC (PROTOCOL-WEB of gRPC). The messages are the
//! same; the trailers become a last message, and the text form is all of it in Base64.

use bytes::{BufMut, Bytes, BytesMut};
use data_encoding::BASE64;
use http::header::{self, HeaderMap, HeaderValue};
use pingora::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use super::context::RequestCtx;
use super::grpc;

/// The flag of the message that holds the trailers.
const TRAILERS: u8 = 0x80;

/// A body of the text form is not Base64.
#[derive(Debug)]
pub struct NotBase64;

/// A call that is translated.
#[derive(Debug)]
pub struct GrpcWeb {
    /// What names the form of the messages, as `+proto`.
    suffix: String,
    /// All of it is in Base64.
    is_text: bool,
    /// Base64 that came and is no whole group of four.
    encoded: BytesMut,
    /// The response is one of gRPC.
    is_answered: bool,
}

impl GrpcWeb {
    /// `None` for a request that is no such call, or that came to a route without `grpc_web`.
    pub fn of(request: &RequestHeader, ctx: &RequestCtx) -> Option<Box<Self>> {
        ctx.route().filter(|route| route.grpc_web)?;
        let kind = grpc::content_type(request)?.to_str().ok()?.to_ascii_lowercase();
        let form = kind.strip_prefix("application/grpc-web")?;
        let text = form.strip_prefix("-text");
        let form = text.unwrap_or(form);
        if !matches!(form.as_bytes().first(), None | Some(b'+' | b';')) {
            return None;
        }
        let suffix = form.split(';').next().unwrap_or_default().trim().to_owned();
        Some(Box::new(Self { suffix, is_text: text.is_some(), encoded: BytesMut::new(), is_answered: false }))
    }

    /// Makes the head one of gRPC, of the first attempt or of another.
    ///
    /// # Errors
    /// Never: each of its fields is made here.
    pub fn edit_request(&mut self, upstream: &mut RequestHeader) -> Result<()> {
        self.encoded.clear();
        upstream.insert_header(header::CONTENT_TYPE, format!("application/grpc{}", self.suffix))?;
        upstream.insert_header(header::TE, "trailers")?;
        upstream.insert_header(header::CONNECTION, "TE")?;
        if self.is_text && upstream.remove_header(&header::CONTENT_LENGTH).is_some() {
            upstream.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
        Ok(())
    }

    /// Decodes a piece of the request's body.
    ///
    /// # Errors
    /// When it is not Base64.
    pub fn edit_request_body(&mut self, body: &mut Option<Bytes>, is_last: bool) -> Result<(), NotBase64> {
        if !self.is_text {
            return Ok(());
        }
        self.encoded.extend_from_slice(body.as_deref().unwrap_or_default());
        let whole = self.encoded.split_to(self.encoded.len() / 4 * 4);
        if is_last && !self.encoded.is_empty() {
            return Err(NotBase64);
        }
        *body = Some(decoded(&whole)?);
        Ok(())
    }

    /// Makes the head one of gRPC-Web.
    ///
    /// # Errors
    /// Never: each of its fields is made here.
    pub fn edit_response(&mut self, head: &mut ResponseHeader) -> Result<()> {
        let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        if !kind.is_some_and(|kind| kind.starts_with(b"application/grpc")) {
            // It comes from something else than a server of gRPC, and stays as it is.
            return Ok(());
        }
        self.is_answered = true;
        let text = if self.is_text { "-text" } else { "" };
        head.insert_header(header::CONTENT_TYPE, format!("application/grpc-web{text}{}", self.suffix))?;
        // The trailers come behind what the server counts.
        head.remove_header(&header::CONTENT_LENGTH);
        Ok(())
    }

    /// Encodes a piece of the response's body. Each is padded by itself, so that no message waits
    /// for the next one.
    pub fn edit_response_body(&self, body: &mut Option<Bytes>) {
        if self.is_text
            && self.is_answered
            && let Some(piece) = body.as_ref().filter(|piece| !piece.is_empty())
        {
            *body = Some(BASE64.encode(piece).into());
        }
    }

    /// The message that holds the trailers; `None` for those of another response.
    pub fn trailers(&self, trailers: &HeaderMap) -> Option<Bytes> {
        if !self.is_answered {
            return None;
        }
        let mut lines = Vec::new();
        for (name, value) in trailers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                lines.extend_from_slice(part);
            }
        }
        let mut message = BytesMut::with_capacity(5 + lines.len());
        message.put_u8(TRAILERS);
        message.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
        message.put_slice(&lines);
        Some(if self.is_text { BASE64.encode(&message).into() } else { message.freeze() })
    }
}

/// What groups of four hold. Parts that were encoded apart are padded apart.
fn decoded(groups: &[u8]) -> Result<Bytes, NotBase64> {
    let mut out = Vec::with_capacity(groups.len() / 4 * 3);
    let mut rest = groups;
    while !rest.is_empty() {
        let end = memchr::memchr(b'=', rest).map_or(rest.len(), |padding| (padding / 4 + 1) * 4);
        let (part, behind) = rest.split_at(end.min(rest.len()));
        out.extend(BASE64.decode(part).map_err(|_| NotBase64)?);
        rest = behind;
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(is_text: bool) -> GrpcWeb {
        GrpcWeb { suffix: "+proto".to_owned(), is_text, encoded: BytesMut::new(), is_answered: true }
    }

    #[test]
    fn base64_is_decoded_however_it_is_cut() {
        let encoded = [BASE64.encode(b"ab"), BASE64.encode(b"cde"), BASE64.encode(b"f")].concat();
        for step in 1..encoded.len() {
            let (mut web, mut out) = (web(true), Vec::new());
            for piece in encoded.as_bytes().chunks(step) {
                let mut body = Some(Bytes::copy_from_slice(piece));
                web.edit_request_body(&mut body, false).unwrap();
                out.extend(body.unwrap());
            }
            assert_eq!(out, b"abcdef", "{step}");
            web.edit_request_body(&mut None, true).unwrap();
        }
        for wrong in ["YQ=", "a", "????"] {
            let mut body = Some(Bytes::from_static(wrong.as_bytes()));
            assert!(web(true).edit_request_body(&mut body, true).is_err(), "{wrong}");
        }
    }

    #[test]
    fn heads_are_translated_both_ways() {
        let mut request = RequestHeader::build("POST", b"/a.B/c", None).unwrap();
        request.insert_header("Content-Length", "8").unwrap();
        web(true).edit_request(&mut request).unwrap();
        assert_eq!(request.headers["content-type"], "application/grpc+proto");
        assert_eq!(
            (&request.headers["te"], request.headers.get("content-length")),
            (&"trailers".parse().unwrap(), None)
        );
        let mut response = ResponseHeader::build(200, None).unwrap();
        response.insert_header("Content-Type", "application/grpc").unwrap();
        web(true).edit_response(&mut response).unwrap();
        assert_eq!(response.headers["content-type"], "application/grpc-web-text+proto");
        let mut page = ResponseHeader::build(502, None).unwrap();
        page.insert_header("Content-Type", "text/html").unwrap();
        let mut call = GrpcWeb { is_answered: false, ..web(true) };
        call.edit_response(&mut page).unwrap();
        assert_eq!(page.headers["content-type"], "text/html");
        let mut body = Some(Bytes::from_static(b"a page"));
        call.edit_response_body(&mut body);
        assert_eq!((body.unwrap().as_ref(), call.trailers(&HeaderMap::new())), (&b"a page"[..], None));
    }

    #[test]
    fn trailers_become_the_last_message() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        assert_eq!(web(false).trailers(&trailers).unwrap(), &b"\x80\0\0\0\x10grpc-status: 0\r\n"[..]);
        let text = web(true).trailers(&trailers).unwrap();
        assert_eq!(BASE64.decode(&text).unwrap(), b"\x80\0\0\0\x10grpc-status: 0\r\n");
    }
}
