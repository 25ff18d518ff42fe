//! One request to an upstream and its response, in whichever HTTP its connection speaks.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use pingora_core::Result;
use pingora_core::protocols::http::custom::client::Session as CustomSession;
use pingora_core::protocols::http::custom::{BodyWrite, CustomMessageWrite};
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::{Digest, UniqueIDType};
use pingora_http::{RequestHeader, ResponseHeader};

use super::{http1, http2};

type MessageReader = Box<dyn futures_util::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;
type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[derive(Debug)]
pub enum Session {
    Http1(Box<http1::Session>),
    Http2(Box<http2::Session>),
}

/// What the session of either protocol answers.
macro_rules! either {
    ($session:expr, $one:ident => $answer:expr) => {
        match $session {
            Session::Http1($one) => $answer,
            Session::Http2($one) => $answer,
        }
    };
}

/// Written as `async_trait` would have it, so that each call makes one future and not two.
impl CustomSession for Session {
    fn write_request_header<'a, 'b>(&'a mut self, request: Box<RequestHeader>, end: bool) -> Answer<'b, Result<()>>
    where
        'a: 'b,
    {
        either!(self, session => session.write_request_header(request, end))
    }

    fn write_request_body<'a, 'b>(&'a mut self, data: Bytes, end: bool) -> Answer<'b, Result<()>>
    where
        'a: 'b,
    {
        either!(self, session => session.write_request_body(data, end))
    }

    fn finish_request_body<'a, 'b>(&'a mut self) -> Answer<'b, Result<()>>
    where
        'a: 'b,
    {
        either!(self, session => session.finish_request_body())
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        either!(self, session => session.set_read_timeout(timeout));
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        either!(self, session => session.set_write_timeout(timeout));
    }

    fn read_response_header<'a, 'b>(&'a mut self) -> Answer<'b, Result<()>>
    where
        'a: 'b,
    {
        either!(self, session => session.read_response_header())
    }

    fn read_response_body<'a, 'b>(&'a mut self) -> Answer<'b, Result<Option<Bytes>>>
    where
        'a: 'b,
    {
        either!(self, session => session.read_response_body())
    }

    fn response_finished(&self) -> bool {
        either!(self, session => session.response_finished())
    }

    fn shutdown<'a, 'b, 'c>(&'a mut self, code: u32, context: &'b str) -> Answer<'c, ()>
    where
        'a: 'c,
        'b: 'c,
    {
        either!(self, session => session.shutdown(code, context))
    }

    fn response_header(&self) -> Option<&ResponseHeader> {
        either!(self, session => session.response_header())
    }

    fn was_upgraded(&self) -> bool {
        either!(self, session => session.was_upgraded())
    }

    fn digest(&self) -> Option<&Digest> {
        either!(self, session => session.digest())
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        either!(self, session => session.digest_mut())
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        either!(self, session => session.server_addr())
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        either!(self, session => session.client_addr())
    }

    fn read_trailers<'a, 'b>(&'a mut self) -> Answer<'b, Result<Option<HeaderMap>>>
    where
        'a: 'b,
    {
        either!(self, session => session.read_trailers())
    }

    fn fd(&self) -> UniqueIDType {
        either!(self, session => session.fd())
    }

    fn check_response_end_or_error<'a, 'b>(&'a mut self, headers: bool) -> Answer<'b, Result<bool>>
    where
        'a: 'b,
    {
        either!(self, session => session.check_response_end_or_error(headers))
    }

    fn take_request_body_writer(&mut self) -> Option<Box<dyn BodyWrite>> {
        either!(self, session => session.take_request_body_writer())
    }

    fn finish_custom<'a, 'b>(&'a mut self) -> Answer<'b, Result<()>>
    where
        'a: 'b,
    {
        either!(self, session => session.finish_custom())
    }

    fn take_custom_message_reader(&mut self) -> Option<MessageReader> {
        either!(self, session => session.take_custom_message_reader())
    }

    fn drain_custom_messages<'a, 'b>(&'a mut self) -> Answer<'b, Result<()>>
    where
        'a: 'b,
    {
        either!(self, session => session.drain_custom_messages())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        either!(self, session => session.take_custom_message_writer())
    }
}
