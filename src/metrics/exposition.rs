//! The text of a scrape: that of Prometheus, version 0.0.4, or OpenMetrics 1.0.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::catalog::{Family, Kind};
use super::exemplar::Exemplar;
use super::histogram::{BOUNDS, BUCKETS, Histogram};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// By the `Accept` field of a scrape: OpenMetrics where that is named.
    pub fn wanted(accept: &str) -> Self {
        let weight = |wanted: &str| {
            let ranges = accept.split(',').filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                parts.next().filter(|name| name.eq_ignore_ascii_case(wanted))?;
                let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
                Some(weight.unwrap_or(1.0))
            });
            ranges.fold(0.0, f32::max)
        };
        let open = weight("application/openmetrics-text");
        if open > 0.0 && open >= weight("text/plain") { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The text as it grows. All samples of a family are written one after the other.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    out: String,
}

impl Exposition {
    pub fn new(format: Format) -> Self {
        Self { format, out: String::with_capacity(16 << 10) }
    }

    /// Begins a family.
    pub fn begin(&mut self, family: &Family) {
        let name = self.family_name(family);
        self.push(["# HELP ", name, " ", family.help, "\n# TYPE ", name, " ", family.kind.as_str(), "\n"]);
    }

    /// OpenMetrics names the family of a counter without the suffix of its samples.
    fn family_name(&self, family: &Family) -> &'static str {
        match (self.format, family.kind) {
            (Format::OpenMetrics, Kind::Counter) => family.name.trim_end_matches("_total"),
            (Format::OpenMetrics, Kind::Gauge | Kind::Histogram) | (Format::Prometheus, _) => family.name,
        }
    }

    /// `labels`: a value for each label of the family.
    pub fn sample(&mut self, family: &Family, labels: &[&str], value: impl Display) {
        self.push([family.name]);
        self.labels(family, labels, None);
        self.value(value);
        self.out.push('\n');
    }

    /// A family of one sample.
    pub fn single(&mut self, family: &Family, value: impl Display) {
        self.begin(family);
        self.sample(family, &[], value);
    }

    pub fn histogram(
        &mut self,
        family: &Family,
        labels: &[&str],
        histogram: &Histogram,
        exemplars: &[Option<Exemplar>; BUCKETS],
    ) {
        let bounds = BOUNDS.iter().map(|(_, seconds)| *seconds).chain(["+Inf"]);
        let mut below = 0;
        for ((bound, count), exemplar) in bounds.zip(histogram.counts).zip(exemplars) {
            below += count;
            self.push([family.name, "_bucket"]);
            self.labels(family, labels, Some(bound));
            self.value(below);
            if let Some(exemplar) = exemplar {
                self.exemplar(exemplar);
            }
            self.out.push('\n');
        }
        self.push([family.name, "_sum"]);
        self.labels(family, labels, None);
        self.value(histogram.sum().as_secs_f64());
        self.push(["\n", family.name, "_count"]);
        self.labels(family, labels, None);
        self.value(below);
        self.out.push('\n');
    }

    /// The older format has none. Names and values of its labels are 86 characters, of 128 that OpenMetrics allows.
    fn exemplar(&mut self, exemplar: &Exemplar) {
        if self.format == Format::OpenMetrics {
            let seconds = Duration::from_nanos(exemplar.nanos).as_secs_f64();
            let (whole, millis) = (exemplar.at / 1000, exemplar.at % 1000);
            let id = uuid::Uuid::from_u128(exemplar.request_id);
            self.write(format_args!(" # {{request_id=\"{id}\""));
            if let Some(trace) = exemplar.trace_id {
                self.write(format_args!(",trace_id=\"{trace:032x}\""));
            }
            self.write(format_args!("}} {seconds} {whole}.{millis:03}"));
        }
    }

    fn labels(&mut self, family: &Family, values: &[&str], bound: Option<&str>) {
        debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
        let pairs = family.labels.iter().copied().zip(values.iter().copied());
        let mut before = "{";
        for (name, value) in pairs.chain(bound.map(|bound| ("le", bound))) {
            self.push([before, name, "=\""]);
            self.escaped(value);
            self.out.push('"');
            before = ",";
        }
        if before == "," {
            self.out.push('}');
        }
        self.out.push(' ');
    }

    fn escaped(&mut self, value: &str) {
        if !value.contains(['\\', '"', '\n']) {
            return self.out.push_str(value);
        }
        for c in value.chars() {
            match c {
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str("\\n"),
                c => self.out.push(c),
            }
        }
    }

    fn value(&mut self, value: impl Display) {
        self.write(format_args!("{value}"));
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        // A string takes everything.
        self.out.write_fmt(what).unwrap_or_default();
    }

    fn push<'a>(&mut self, pieces: impl IntoIterator<Item = &'a str>) {
        pieces.into_iter().for_each(|piece| self.out.push_str(piece));
    }

    /// The whole, without the last line's end.
    pub fn finish(mut self) -> String {
        match self.format {
            Format::OpenMetrics => self.out.push_str("# EOF"),
            Format::Prometheus => self.out.truncate(self.out.trim_end_matches('\n').len()),
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::*;
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut text = Exposition::new(Format::Prometheus);
        text.begin(&HTTP_REQUEST_BODY_BYTES);
        text.sample(&HTTP_REQUEST_BODY_BYTES, &["a\\b\"c\nd{}ü"], 3);
        let sample = "pingora_proxy_http_request_body_bytes_total{route=\"a\\\\b\\\"c\\nd{}ü\"} 3";
        assert_eq!(text.finish().lines().last(), Some(sample));
    }

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Format::Prometheus),
            ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", Format::OpenMetrics),
            ("text/plain, application/OpenMetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text; q=0.5, text/plain;q=0.9", Format::Prometheus),
        ] {
            assert_eq!(Format::wanted(accept), format, "{accept}");
        }
    }

    #[test]
    fn the_two_formats_differ_where_they_must() {
        let of = |format| {
            let mut text = Exposition::new(format);
            text.single(&PANICS, 2);
            text.begin(&UPSTREAM_CONNECT);
            let histogram = Histogram::default();
            let exemplar = Exemplar { request_id: 255, trace_id: None, nanos: 1_500_000, at: 61_005 };
            let mut exemplars = [None; BUCKETS];
            exemplars[2] = Some(exemplar);
            exemplars[3] = Some(Exemplar { trace_id: Some(254), ..exemplar });
            text.histogram(&UPSTREAM_CONNECT, &["a"], &histogram, &exemplars);
            text.finish()
        };
        let (old, open) = (of(Format::Prometheus), of(Format::OpenMetrics));
        assert!(old.contains("# TYPE pingora_proxy_panics_total counter\npingora_proxy_panics_total 2\n"), "{old}");
        assert!(open.contains("# TYPE pingora_proxy_panics counter\npingora_proxy_panics_total 2\n"), "{open}");
        let exemplar = "le=\"0.0025\"} 0 # {request_id=\"00000000-0000-0000-0000-0000000000ff\"} 0.0015 61.005\n";
        let traced = "0000000000ff\",trace_id=\"000000000000000000000000000000fe\"} 0.0015 61.005\n";
        assert!(open.contains(traced), "{open}");
        assert!(open.contains(exemplar) && open.ends_with("\n# EOF"), "{open}");
        assert!(!old.contains("# {") && old.ends_with("_count{upstream=\"a\"} 0"), "{old}");
    }
}
