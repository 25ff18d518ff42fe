//! What a message is about, in a word that an operator knows, instead of the module that it comes
//! from. `RUST_LOG` names modules.

/// The beginnings of modules' paths. The first that fits counts.
const WORDS: [(&str, &str); 27] = [
    ("proxy_service::server::admin", "admin"),
    ("proxy_service::server::upgrade", "upgrade"),
    ("proxy_service::server::control::hand_over", "upgrade"),
    ("proxy_service::server::control", "control"),
    ("proxy_service::server::files::ticket_keys", "tls"),
    ("proxy_service::server::token_keys", "auth"),
    ("proxy_service::server", "process"),
    ("proxy_service::telemetry::panics", "process"),
    ("proxy_service::telemetry", "log"),
    ("proxy_service::listener::tls", "tls"),
    ("proxy_service::listener", "listener"),
    ("proxy_service::transport", "tls"),
    ("proxy_service::downstream", "client"),
    ("proxy_service::http1", "client"),
    ("proxy_service::http2", "http2"),
    ("proxy_service::proxy::mirror", "mirror"),
    ("proxy_service::upstream::resolve", "dns"),
    ("proxy_service::upstream", "upstream"),
    ("proxy_service::auth", "auth"),
    ("proxy_service::limit", "limit"),
    ("proxy_service::runtime", "config"),
    ("proxy_service::config", "config"),
    ("proxy_service::demo", "demo"),
    ("pingora_proxy::cli", "process"),
    ("proxy_service::", "proxy"),
    ("pingora", "pingora"),
    ("rustls", "tls"),
];

/// The word for a module; other crates are called by their names.
pub fn word(module: &str) -> &str {
    let known = WORDS.iter().find(|(prefix, _)| module.starts_with(prefix));
    known.map_or_else(|| module.split("::").next().unwrap_or(module), |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_have_words_and_other_crates_their_names() {
        for (module, shown) in [
            ("proxy_service::upstream::pool", "upstream"),
            ("proxy_service::upstream::resolve", "dns"),
            ("proxy_service::listener::tls::renewal", "tls"),
            ("proxy_service::filter::fields", "proxy"),
            ("proxy_service::server::lifecycle::orders", "process"),
            ("pingora_proxy::proxy_h1", "pingora"),
            ("h2::codec", "h2"),
            ("", ""),
        ] {
            assert_eq!(word(module), shown, "{module}");
        }
        // A word behind one that fits in its place would never be reached.
        for (index, (prefix, _)) in WORDS.iter().enumerate() {
            let earlier = WORDS.iter().take(index).find(|(earlier, _)| prefix.starts_with(earlier));
            assert_eq!(earlier, None, "{prefix}");
        }
    }
}
