//! The chart of docs/performance.md: processor time for each request, by case, as SVG
//! that can be read on light and on dark ground.

use std::fmt::Write as _;

use crate::candidate::Candidate;
use crate::kind::Kind;
use crate::samples::Samples;
use crate::statistics::Spread;

const CASES: [(&str, &str); 8] = [
    ("log", "60 bytes, logged"),
    ("10k", "10 kB"),
    ("100k", "100 kB"),
    ("connect", "new connection"),
    ("websocket", "WebSocket message"),
    ("tls-resumed", "new TLS connection, session resumed"),
    ("h2", "60 bytes, HTTP/2 over TLS"),
    ("grpc", "gRPC call"),
];
const WIDTH: f64 = 720.0;
const LABELS: f64 = 90.0;
const BAR: f64 = 14.0;
const GAP: f64 = 4.0;

pub fn draw(candidates: &[Candidate], samples: &Samples) -> String {
    let mut body = String::new();
    let mut y = 28.0;
    for (case, title) in CASES {
        let bars: Vec<_> = candidates
            .iter()
            .filter_map(|candidate| {
                let cpu: Vec<f64> = samples.get(&(case, candidate.name.clone()))?.iter().map(|s| s.cpu).collect();
                Some((candidate, Spread::of(&cpu)?.median))
            })
            .collect();
        if bars.is_empty() {
            continue;
        }
        let longest = bars.iter().map(|(_, value)| *value).fold(f64::EPSILON, f64::max);
        // Writing to a String cannot fail.
        writeln!(body, "<text x=\"0\" y=\"{y}\" class=\"title\">{title}, µs of CPU</text>").ok();
        y += 8.0;
        for (candidate, value) in bars {
            let length = (WIDTH - LABELS - 70.0) * value / longest;
            let class = if matches!(candidate.kind, Kind::Ours(_)) { "ours" } else { "other" };
            let (base, name) = (y + BAR - 3.0, &candidate.name);
            writeln!(body, "<text x=\"{:.0}\" y=\"{base:.0}\" class=\"name\">{name}</text>", LABELS - 8.0).ok();
            writeln!(body, "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" class=\"{class}\"/>")
                .ok();
            writeln!(body, "<text x=\"{:.0}\" y=\"{base:.0}\">{value:.1}</text>", LABELS + length + 6.0).ok();
            y += BAR + GAP;
        }
        y += 26.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" role=\"img\" \
         aria-label=\"Processor time for each request, by case and proxy\">\n\
         <style>text{{font:12px sans-serif;fill:#57606a}}.title{{font-weight:bold}}.name{{text-anchor:end}}\
         .ours{{fill:#e8590c}}.other{{fill:#8c959f}}\
         @media(prefers-color-scheme:dark){{text{{fill:#adbac7}}}}</style>\n{body}</svg>\n"
    )
}
