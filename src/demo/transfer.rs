//! Uploads and downloads of any size, streamed: no body is held whole. Downloads are
//! generated and understand byte ranges.

use std::sync::LazyLock;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Multipart, RawQuery, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use crc32fast::Hasher;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::answer::failure;

const DEFAULT_SIZE: u64 = 10 << 20;
const MAX_SIZE: u64 = 1 << 40;
const MAX_FIELDS: usize = 100;

/// Byte `n` of every download is `n % 251`, so a client can verify any range.
const BLOCK_LEN: usize = 251 * 256;

static BLOCK: LazyLock<Bytes> = LazyLock::new(|| (0..=250u8).cycle().take(BLOCK_LEN).collect());

/// What arrived so far.
#[derive(Default)]
struct Received {
    bytes: u64,
    /// CRC-32 as zip and PNG use it: it proves that an upload arrived whole.
    sum: Hasher,
    files: Vec<Value>,
}

impl Received {
    fn add(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        self.sum.update(chunk);
    }
}

/// Counts and checks a multipart or raw body while it streams in.
pub(super) async fn upload(request: Request) -> Response {
    let started = Instant::now();
    let multipart = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"multipart/form-data"));
    let outcome = if multipart { read_fields(request).await } else { read_raw(request).await };
    match outcome {
        Err(reason) => failure(StatusCode::BAD_REQUEST, &reason),
        Ok(received) => Json(json!({
            "bytes": received.bytes,
            "crc32": format!("{:08x}", received.sum.finalize()),
            "seconds": started.elapsed().as_secs_f64(),
            "kind": if multipart { "multipart" } else { "raw" },
            "files": received.files,
        }))
        .into_response(),
    }
}

async fn read_raw(request: Request) -> Result<Received, String> {
    let mut received = Received::default();
    let mut chunks = request.into_body().into_data_stream();
    while let Some(chunk) = chunks.next().await {
        received.add(&chunk.map_err(|error| format!("the upload broke off: {error}"))?);
    }
    Ok(received)
}

async fn read_fields(request: Request) -> Result<Received, String> {
    let mut fields = Multipart::from_request(request, &()).await.map_err(|rejected| rejected.body_text())?;
    let mut received = Received::default();
    while let Some(mut field) = fields.next_field().await.map_err(|error| error.body_text())? {
        if received.files.len() == MAX_FIELDS {
            return Err("too many parts".to_owned());
        }
        let before = received.bytes;
        let name = field.file_name().or(field.name()).unwrap_or_default().to_owned();
        while let Some(chunk) = field.chunk().await.map_err(|error| error.body_text())? {
            received.add(&chunk);
        }
        let bytes = received.bytes - before;
        received.files.push(json!({ "name": name, "bytes": bytes }));
    }
    Ok(received)
}

/// Generates `?size=` bytes on the fly, whole or one requested range.
pub(super) async fn download(RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let wanted = query.as_deref().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("size="));
    let Some(size) = wanted.map_or(Some(DEFAULT_SIZE), parse_size) else {
        return failure(StatusCode::BAD_REQUEST, "size is a number such as 10MiB, at most 1TiB");
    };
    let tag = format!("\"demo-{size}\"");
    let current = headers.get(header::IF_RANGE).is_none_or(|known| known == tag.as_str());
    let asked = headers.get(header::RANGE).filter(|_| current).and_then(|value| value.to_str().ok());
    let common = [
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"demo.bin\""),
        (header::ETAG, &tag),
    ];
    match asked.map_or(Range::Whole, |value| parse_range(value, size)) {
        Range::Whole => {
            let length = [(header::CONTENT_LENGTH, size)];
            (common, length, bytes_between(0, size)).into_response()
        }
        Range::Part(start, end) => {
            let length = [(header::CONTENT_LENGTH, end - start)];
            let range = [(header::CONTENT_RANGE, format!("bytes {start}-{}/{size}", end - 1))];
            let body = bytes_between(start, end);
            (StatusCode::PARTIAL_CONTENT, common, length, range, body).into_response()
        }
        Range::Unsatisfiable => {
            let range = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            (range, failure(StatusCode::RANGE_NOT_SATISFIABLE, "no such bytes")).into_response()
        }
    }
}

fn bytes_between(start: u64, end: u64) -> Body {
    let mut position = start;
    let chunks = std::iter::from_fn(move || {
        let left = end.checked_sub(position).filter(|left| *left > 0)?;
        let offset = usize::try_from(position % BLOCK_LEN as u64).ok()?;
        let room = BLOCK_LEN - offset;
        let take = usize::try_from(left).map_or(room, |left| left.min(room));
        position += take as u64;
        Some(Ok::<_, std::io::Error>(BLOCK.slice(offset..offset + take)))
    });
    Body::from_stream(stream::iter(chunks))
}

/// `4096`, `10MiB`, `5MB`, `1k`: decimal units, or binary ones with an `i`.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "ki" | "kib" => 1 << 10,
        "m" | "mb" => 1_000_000,
        "mi" | "mib" => 1 << 20,
        "g" | "gb" => 1_000_000_000,
        "gi" | "gib" => 1 << 30,
        _ => return None,
    };
    let size = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (size <= MAX_SIZE).then_some(size)
}

#[derive(Debug, PartialEq)]
enum Range {
    Whole,
    /// From the first byte up to, not including, the second.
    Part(u64, u64),
    Unsatisfiable,
}

/// One byte range; several or malformed ones are ignored, as HTTP allows.
fn parse_range(value: &str, size: u64) -> Range {
    let Some((first, last)) = value.strip_prefix("bytes=").and_then(|set| set.split_once('-')) else {
        return Range::Whole;
    };
    match (first.trim(), last.trim()) {
        ("", suffix) => match suffix.parse::<u64>() {
            Ok(0) => Range::Unsatisfiable,
            Ok(_) if size == 0 => Range::Unsatisfiable,
            Ok(count) => Range::Part(size.saturating_sub(count), size),
            Err(_) => Range::Whole,
        },
        (first, last) => {
            let end =
                if last.is_empty() { Some(size) } else { last.parse::<u64>().ok().map(|end| end.saturating_add(1)) };
            match (first.parse::<u64>(), end) {
                (Ok(start), Some(end)) if start < end || last.is_empty() => {
                    if start >= size {
                        Range::Unsatisfiable
                    } else {
                        Range::Part(start, end.min(size))
                    }
                }
                _ => Range::Whole,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_matches_the_standard_check_value() {
        let mut received = Received::default();
        received.add(b"12345");
        received.add(b"6789");
        assert_eq!((received.bytes, received.sum.finalize()), (9, 0xCBF4_3926));
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4096"), Some(4096));
        assert_eq!(parse_size("10MiB"), Some(10 << 20));
        assert_eq!(parse_size("5mb"), Some(5_000_000));
        assert_eq!(parse_size("MiB"), None);
        assert_eq!(parse_size("-1"), None);
        assert_eq!(parse_size("9999GiB"), None);
    }

    #[test]
    fn ranges() {
        assert_eq!(parse_range("bytes=0-0", 10), Range::Part(0, 1));
        assert_eq!(parse_range("bytes=4-", 10), Range::Part(4, 10));
        assert_eq!(parse_range("bytes=-3", 10), Range::Part(7, 10));
        assert_eq!(parse_range("bytes=-30", 10), Range::Part(0, 10));
        assert_eq!(parse_range("bytes=8-99", 10), Range::Part(8, 10));
        assert_eq!(parse_range("bytes=10-", 10), Range::Unsatisfiable);
        assert_eq!(parse_range("bytes=-0", 10), Range::Unsatisfiable);
        assert_eq!(parse_range("bytes=5-4", 10), Range::Whole);
        assert_eq!(parse_range("bytes=0-1,4-5", 10), Range::Whole);
        assert_eq!(parse_range("lines=0-1", 10), Range::Whole);
    }
}
