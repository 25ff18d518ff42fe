//! A page in HTML that the proxy itself answers with.

/// `inside` stands below the title, and is HTML.
pub fn page(title: &str, inside: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>body{{font:16px/1.5 \
         system-ui,sans-serif;max-width:36rem;margin:20vh auto;padding:0 1.5rem;color:#222;background:#fff}}\
         h1{{font-size:1.4rem}}code,small{{color:#666}}@media(prefers-color-scheme:dark){{body{{color:#ddd;\
         background:#16181d}}}}</style><h1>{title}</h1>{inside}</html>\n"
    )
}

/// Text that others have chosen, as it stands in HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
