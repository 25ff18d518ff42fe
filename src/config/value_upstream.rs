//! The small languages that only upstreams speak: percentages, what tells clients
//! apart, ranges of statuses. Text in, typed value out; must not know YAML or keys.

use http::HeaderName;

use super::model::KeySource;
use super::value::{Read, Wrong, cookie_name, header_name, status};

/// `least` to `most` of a hundred.
pub fn percent(text: &str, least: u8, most: u8) -> Read<u8> {
    let number = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match number.and_then(|digits| digits.parse::<u8>().ok()) {
        Some(value) if (least..=most).contains(&value) => Ok(value),
        Some(_) => Err(Wrong::new(format!("it goes from {least}% to {most}%"))),
        None => Err(Wrong::new(format!("expected a percentage such as `20%`, found `{text}`"))),
    }
}

/// `header:x`, `cookie:x`, `query:x`, `path` or `client_ip`.
pub fn key_source(text: &str) -> Read<KeySource> {
    match text.split_once(':') {
        None if text == "path" => return Ok(KeySource::Path),
        None if text == "client_ip" => return Ok(KeySource::ClientIp),
        Some(("header", name)) => return header_name(name).map(|field| KeySource::Header(field.name)),
        Some(("cookie", name)) => return cookie_name(name).map(KeySource::Cookie),
        Some(("query", name)) if !name.is_empty() => return Ok(KeySource::Query(name.to_owned())),
        Some(_) | None => {}
    }
    Err(Wrong::with_help(
        format!("`{text}` does not tell clients apart"),
        "`header:name`, `cookie:name`, `query:name`, `path` or `client_ip`",
    ))
}

/// The text which [`key_source`] reads as this value.
pub fn key_source_text(source: &KeySource) -> String {
    let of = |kind: &str, name: &str| format!("{kind}:{name}");
    match source {
        KeySource::ClientIp => "client_ip".to_owned(),
        KeySource::Path => "path".to_owned(),
        KeySource::Header(name) => of("header", HeaderName::as_str(name)),
        KeySource::Cookie(name) => of("cookie", name),
        KeySource::Query(name) => of("query", name),
    }
}

/// `200`, or `200-399`.
pub fn status_range(text: &str) -> Read<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (status(from)?.as_u16(), status(to)?.as_u16());
    if from > to {
        return Err(Wrong::with_help(format!("`{text}` holds no status"), format!("write `{to}-{from}`")));
    }
    Ok((from, to))
}

/// The text which [`status_range`] reads as this value.
pub fn status_range_text((from, to): (u16, u16)) -> String {
    if from == to { from.to_string() } else { format!("{from}-{to}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_bounds() {
        assert_eq!(percent("20%", 0, 100), Ok(20));
        for bad in ["20", "%", "+5%", "101%", "1.5%", "999%"] {
            assert!(percent(bad, 0, 100).is_err(), "{bad}");
        }
        assert!(percent("0%", 1, 100).is_err());
    }

    #[test]
    fn what_tells_clients_apart_is_written_as_it_is_read() {
        for text in ["client_ip", "path", "header:x-user", "cookie:sid", "query:id"] {
            assert_eq!(key_source_text(&key_source(text).unwrap()), text);
        }
        for bad in ["", "header:", "cookie:a b", "query:", "ip", "path:x"] {
            assert!(key_source(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_of_statuses() {
        for text in ["200", "200-399"] {
            assert_eq!(status_range_text(status_range(text).unwrap()), text);
        }
        for bad in ["399-200", "2xx", "200-", "-", "200-999"] {
            assert!(status_range(bad).is_err(), "{bad}");
        }
    }
}
