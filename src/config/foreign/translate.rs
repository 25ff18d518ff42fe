//! Values of other proxies in our words.

use crate::config::section::shown;

/// The map that a single value in the place of a section stands for.
pub fn short(title: &str, text: &str) -> Option<String> {
    let value = shown(text);
    let is_number = text.parse::<u16>().is_ok();
    Some(match title {
        "`respond`" if is_number => format!("{{ status: {value} }}"),
        "`respond`" => format!("{{ body: {value} }}"),
        "`access`" => format!("{{ to: {value} }}"),
        "`health`" if text.starts_with('/') => format!("{{ active: {{ path: {value} }} }}"),
        "`active`" if text.starts_with('/') => format!("{{ path: {value} }}"),
        "`sticky`" if text == "true" => "{ cookie: lb }".to_owned(),
        "`sticky`" => format!("{{ cookie: {value} }}"),
        "`admin`" if text == "false" => "{ address: off }".to_owned(),
        "`admin`" => format!("{{ address: {value} }}"),
        "`dns`" => format!("{{ nameservers: [{value}] }}"),
        "`mirror`" => format!("{{ upstream: {value} }}"),
        "`retry`" if is_number => format!("{{ attempts: {value} }}"),
        _ => return None,
    })
}

/// Whether redirects are rewritten.
pub fn rewrite_or_off(text: &str) -> Option<String> {
    ["rewrite", "off"].contains(&text).then(|| text.to_owned())
}

/// How many attempts there are in all: nginx turns retries off by a word.
pub fn attempts(text: &str) -> Option<String> {
    match text {
        "off" | "0" | "1" => Some("1".to_owned()),
        _ => number(text),
    }
}

/// What becomes of header names with an underscore.
pub fn underscores(text: &str) -> Option<String> {
    match text {
        "on" | "true" | "keep" => Some("keep".to_owned()),
        "off" | "false" => Some("drop".to_owned()),
        _ => None,
    }
}

/// A port alone, or an address.
pub fn listening(text: &str) -> Option<String> {
    let number = text.parse::<u16>().ok();
    number.map(|port| format!(":{port}")).or_else(|| text.contains(':').then(|| text.to_owned()))
}

/// nginx takes a number for seconds.
pub fn seconds(text: &str) -> Option<String> {
    match number(text) {
        Some(number) => Some(format!("{number}s")),
        None => text.starts_with(|c: char| c.is_ascii_digit()).then(|| text.to_owned()),
    }
}

pub fn number(text: &str) -> Option<String> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned())
}

/// nginx and Caddy write sizes as `10m`, `10M` and `10MB`.
pub fn size(text: &str) -> Option<String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (amount, unit) = text.split_at(digits);
    let amount = amount.parse::<u64>().ok().filter(|amount| *amount > 0)?;
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => "B",
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        _ => return None,
    };
    Some(format!("{amount}{unit}"))
}

pub fn path(text: &str) -> Option<String> {
    text.starts_with('/').then(|| text.trim_end_matches('*').to_owned())
}

/// What a route may name: `api`, `http://127.0.0.1:3000`, `localhost:3000`.
pub fn service(text: &str) -> Option<String> {
    let has_blank = text.contains(char::is_whitespace);
    number(text)
        .map(|port| format!("127.0.0.1:{port}"))
        .or_else(|| (!has_blank).then(|| text.trim_end_matches('/').to_owned()))
}

pub fn server(text: &str) -> Option<String> {
    let address = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    let is_address = address.rsplit_once(':').is_some_and(|(name, port)| !name.is_empty() && number(port).is_some());
    number(address).map(|port| format!("127.0.0.1:{port}")).or_else(|| is_address.then(|| address.to_owned()))
}

/// The others' names of the ways to choose a server.
pub fn balance(text: &str) -> Option<String> {
    let ours = match text.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "roundrobin" | "rr" | "wrr" | "staticrr" => "round_robin",
        "leastconn" | "leastconnections" | "leastrequest" | "leasttime" => "least_conn",
        "iphash" | "source" | "clientiphash" | "sourceip" => "ip_hash",
        "p2c" | "randomchoose" | "poweroftwo" => "p2c",
        "random" => "random",
        _ => return None,
    };
    Some(ours.to_owned())
}
