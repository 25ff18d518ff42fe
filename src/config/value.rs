//! The small languages inside values: durations, CIDRs, header and cookie names,
//! hosts, templates. Text in, typed value out; must not know YAML or keys.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::model::{FieldName, HostPattern, Template, TemplatePart};

/// Why a value is not accepted, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub message: String,
    pub help: Option<String>,
}

impl Wrong {
    pub fn new(message: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), help: None }
    }

    pub fn with_help(message: impl Into<String>, help: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), help: Some(help.into()) }
    }
}

pub type Read<T> = Result<T, Wrong>;

/// The word that was probably meant.
pub fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let lower = word.to_lowercase();
    // `warning` is `warn` at greater length, however many letters that takes.
    let longer = |k: &str| k.len() >= 4 && lower.starts_with(k);
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= 1 + k.chars().count().min(word.chars().count()) / 4 || longer(k))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
const LONGEST: u64 = 365 * 24 * 3_600_000;

/// A length of time above zero, at most a year.
pub fn duration(text: &str) -> Read<Duration> {
    let wrong =
        |help: Option<String>| Wrong { message: format!("expected a duration such as `10s`, found `{text}`"), help };
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let Ok(number) = digits.parse::<u64>() else {
        return Err(wrong(Some("a whole number and `ms`, `s`, `m` or `h`".into())));
    };
    if unit.is_empty() {
        return Err(wrong(Some(format!("a unit is missing: `{number}s`?"))));
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(wrong(Some("the units are `ms`, `s`, `m` and `h`".into())));
    };
    match number.checked_mul(*factor) {
        Some(0) => Err(Wrong::new("a duration must be above zero")),
        Some(ms) if ms <= LONGEST => Ok(Duration::from_millis(ms)),
        _ => Err(Wrong::new("longer than a year (`8760h`)")),
    }
}

/// The same, or none at all.
pub fn duration_or_zero(text: &str) -> Read<Duration> {
    match text.trim_start_matches('0') {
        "" if !text.is_empty() => Ok(Duration::ZERO),
        "ms" | "s" | "m" | "h" if text.starts_with('0') => Ok(Duration::ZERO),
        _ => duration(text),
    }
}

/// The text which `duration_or_zero` reads as this value.
pub fn duration_text(value: Duration) -> String {
    let ms = u64::try_from(value.as_millis()).unwrap_or(LONGEST);
    if ms == 0 {
        return "0s".to_owned();
    }
    UNITS
        .iter()
        .rev()
        .find(|(_, factor)| ms % factor == 0)
        .map_or_else(|| format!("{ms}ms"), |(name, factor)| format!("{}{name}", ms / factor))
}

const SIZES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A number of bytes.
pub fn size(text: &str) -> Read<usize> {
    let wrong =
        |help: Option<String>| Wrong { message: format!("expected a size such as `8KiB`, found `{text}`"), help };
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let Ok(number) = digits.parse::<u64>() else {
        return Err(wrong(Some("a whole number and `B`, `KiB`, `MiB` or `GiB`".into())));
    };
    let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        let near = SIZES.iter().find(|(name, _)| unit.get(..1).is_some_and(|u| name.starts_with(&u.to_uppercase())));
        return Err(wrong(Some(match near {
            Some((name, _)) => format!("did you mean `{number}{name}`?"),
            None => "the units are `B`, `KiB`, `MiB` and `GiB`".into(),
        })));
    };
    let bytes = number.checked_mul(*factor).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| Wrong::new("larger than this machine can count"))
}

/// The text which `size` reads as this value.
pub fn size_text(bytes: usize) -> String {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let whole = SIZES.iter().rev().find(|(_, factor)| bytes > 0 && bytes % factor == 0);
    whole.map_or_else(|| format!("{bytes}B"), |(name, factor)| format!("{}{name}", bytes / factor))
}

/// A network, or one address.
pub fn cidr(text: &str) -> Read<IpNet> {
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    if let Ok(net) = net {
        return as_matched(text, net.trunc());
    }
    Err(Wrong::with_help(
        format!("`{text}` is not a network"),
        "write it as `10.0.0.0/8`, `2001:db8::/32` or one IP address",
    ))
}

/// IPv4 addresses that arrive on an IPv6 socket are compared as IPv4.
fn as_matched(text: &str, net: IpNet) -> Read<IpNet> {
    if let IpNet::V6(v6) = net
        && let Some(ip) = v6.network().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
    {
        let help = format!("addresses are matched in their canonical form: write `{ip}/{length}`");
        return Err(Wrong::with_help(format!("no client is in `{text}`"), help));
    }
    Ok(net)
}

pub fn header_name(text: &str) -> Read<FieldName> {
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) => Ok(FieldName { name, spelled: text.to_owned() }),
        Err(_) => Err(Wrong::new(format!("`{text}` is not a header name"))),
    }
}

// These describe one connection or one message's framing, which the proxy itself decides.
const NOT_EDITABLE: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// A header name which an edit may touch.
pub fn edited_header(text: &str) -> Read<FieldName> {
    let field = header_name(text)?;
    if NOT_EDITABLE.contains(&field.name.as_str()) {
        return Err(Wrong::with_help(
            format!("`{text}` cannot be edited"),
            "it belongs to one connection and is set by the proxy",
        ));
    }
    Ok(field)
}

pub fn header_value(text: &str) -> Read<HeaderValue> {
    if text.trim_matches([' ', '\t']) != text {
        return Err(Wrong::new("a header value cannot begin or end with a space"));
    }
    HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| Wrong::new("a header value cannot hold line breaks or control characters"))
}

/// RFC 6265: a cookie's name is a token.
pub fn cookie_name(text: &str) -> Read<String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !text.is_empty() && text.chars().all(token) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is not a cookie name")))
}

pub fn cookie_value(text: &str) -> Read<String> {
    let octet = |c: char| c.is_ascii_graphic() && !"\",;\\".contains(c);
    if text.chars().all(octet) {
        return Ok(text.to_owned());
    }
    Err(Wrong::with_help("a cookie value cannot hold spaces, quotes, `,`, `;` or `\\`", "percent-encode it"))
}

/// A name as DNS has it; lower case comes back.
pub fn dns_name(text: &str) -> Read<String> {
    if !text.is_ascii() {
        return Err(Wrong::with_help(format!("`{text}` is not a host name"), "write it in its `xn--` form"));
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Wrong::new(format!("`{text}` is not a host name")))
}

/// What a route's `host` may hold.
pub fn host_pattern(text: &str) -> Read<HostPattern> {
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or(rest);
        return Err(Wrong::with_help("a host is a name, not a URL", format!("write `{host}`")));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'))
        && inner.parse::<std::net::Ipv6Addr>().is_ok()
    {
        return Ok(HostPattern::Exact(text.to_ascii_lowercase()));
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(Wrong::with_help("a host is matched without its port", format!("write `{host}`")));
    }
    if let Some(rest) = text.strip_prefix("*.") {
        return dns_name(rest).map(HostPattern::Suffix);
    }
    if text.contains('*') {
        return Err(Wrong::with_help(
            format!("`{text}` is not a host pattern"),
            "`*` stands alone or in front, as in `*.example.com`",
        ));
    }
    dns_name(text).map(HostPattern::Exact)
}

const PLACEHOLDERS: [(&str, TemplatePart); 7] = [
    ("scheme", TemplatePart::Scheme),
    ("host", TemplatePart::Host),
    ("path", TemplatePart::Path),
    ("query", TemplatePart::Query),
    ("method", TemplatePart::Method),
    ("client_ip", TemplatePart::ClientIp),
    ("request_id", TemplatePart::RequestId),
];

/// `{{` and `}}` stand for a brace.
pub fn template(text: &str) -> Read<Template> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or("");
        if (c == '{' || c == '}') && rest.starts_with(c) {
            literal.push(c);
            rest = rest.get(1..).unwrap_or("");
        } else if c == '{' {
            let Some((name, after)) = rest.split_once('}') else {
                return Err(Wrong::with_help("`{` without its `}`", "a literal `{` is written `{{`"));
            };
            if !literal.is_empty() {
                parts.push(TemplatePart::Text(std::mem::take(&mut literal)));
            }
            parts.push(placeholder(name)?);
            rest = after;
        } else if c == '}' {
            return Err(Wrong::with_help("`}` without its `{`", "a literal `}` is written `}}`"));
        } else {
            literal.push(c);
        }
    }
    if !literal.is_empty() {
        parts.push(TemplatePart::Text(literal));
    }
    Ok(Template(parts))
}

fn placeholder(name: &str) -> Read<TemplatePart> {
    if let Some((_, part)) = PLACEHOLDERS.iter().find(|(known, _)| *known == name) {
        return Ok(part.clone());
    }
    let help = match nearest(name, PLACEHOLDERS.iter().map(|(known, _)| *known)) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None => {
            let all: Vec<String> = PLACEHOLDERS.iter().map(|(known, _)| format!("{{{known}}}")).collect();
            format!("there are {}", all.join(", "))
        }
    };
    Err(Wrong::with_help(format!("unknown placeholder `{{{name}}}`"), help))
}

pub fn template_text(template: &Template) -> String {
    let part = |p: &TemplatePart| match p {
        TemplatePart::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        other => PLACEHOLDERS
            .iter()
            .find(|(_, known)| known == other)
            .map_or(String::new(), |(name, _)| format!("{{{name}}}")),
    };
    template.0.iter().map(part).collect()
}

/// Three digits, as a status is written everywhere.
pub fn status(text: &str) -> Read<http::StatusCode> {
    let wrong = || Wrong::new(format!("`{text}` is not a status from 100 to 599"));
    if text.len() != 3 {
        return Err(wrong());
    }
    let code = http::StatusCode::from_bytes(text.as_bytes()).map_err(|_| wrong())?;
    if code.as_u16() > 599 { Err(wrong()) } else { Ok(code) }
}

/// What stands in a query for this text.
pub fn query_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// The opposite of `query_encode`.
pub fn query_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((b, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) if *b == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or(&[]);
            }
            _ => {
                bytes.push(*b);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
