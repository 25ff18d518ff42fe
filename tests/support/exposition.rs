//! A strict reader of what `/metrics` says: the text format of Prometheus 0.0.4, and OpenMetrics 1.0. What
//! a scrape would refuse, or take for something else, fails the test.

use std::collections::{BTreeMap, BTreeSet};

/// A sample: its name, its labels and its value.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
    /// The labels of its exemplar.
    pub exemplar: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default)]
pub struct Exposition {
    pub samples: Vec<Sample>,
    /// The type of each family.
    pub kinds: BTreeMap<String, String>,
}

impl Exposition {
    /// # Panics
    /// At the first thing that is not as the format has it.
    pub fn parse(text: &str, is_open: bool) -> Self {
        let mut all = Self::default();
        let (mut current, mut helped) = (String::new(), String::new());
        let text = if is_open { text.strip_suffix("# EOF\n").expect("the end is not marked") } else { text };
        assert!(text.ends_with('\n') && !text.contains('\r') && !text.contains("\n\n"), "lines are not ended well");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(is_name(name) && !help.is_empty() && !help.contains('\\'), "{line}");
                name.clone_into(&mut helped);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert!(["counter", "gauge", "histogram"].contains(&kind) && name == helped, "{line}");
                assert!(all.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "a second time: {line}");
                name.clone_into(&mut current);
            } else {
                assert!(!line.starts_with('#'), "{line}");
                let sample = Sample::parse(line, is_open);
                let kind = &all.kinds[&current];
                assert_eq!(family_of(&sample.name, kind, is_open), current, "{line}");
                assert!(kind == "gauge" || sample.value >= 0.0 && sample.value.is_finite(), "{line}");
                let may_have_exemplar = is_open && sample.name.ends_with("_bucket");
                assert!(sample.exemplar.is_none() || may_have_exemplar, "{line}");
                all.samples.push(sample);
            }
        }
        let mut seen = BTreeSet::new();
        for sample in &all.samples {
            assert!(seen.insert((&sample.name, &sample.labels)), "a second time: {sample:?}");
        }
        all.check_histograms();
        all
    }

    fn check_histograms(&self) {
        // A scrape of thousands of series is not walked for each of them.
        let mut of_name: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
        self.samples.iter().for_each(|sample| of_name.entry(&sample.name).or_default().push(sample));
        let named = |name: String| of_name.get(name.as_str()).into_iter().flatten().copied();
        let by_labels = |name: String| {
            let mut all: BTreeMap<&BTreeMap<String, String>, Vec<f64>> = BTreeMap::new();
            named(name).for_each(|sample| all.entry(&sample.labels).or_default().push(sample.value));
            all
        };
        for (name, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
            for sample in named(format!("{name}_bucket")) {
                let mut labels = sample.labels.clone();
                let bound = labels.remove("le").expect("a bucket without a bound");
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                series.entry(labels).or_default().push((bound, sample.value));
            }
            let (counts, sums) = (by_labels(format!("{name}_count")), by_labels(format!("{name}_sum")));
            for (labels, buckets) in series {
                assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name}{labels:?}: {buckets:?}");
                let (bound, all) = *buckets.last().unwrap();
                assert!(bound.is_infinite() && (counts[&labels][0] - all).abs() < 0.5, "{name}{labels:?}");
                assert_eq!(sums[&labels].len(), 1, "{name}{labels:?}");
            }
        }
    }

    /// The sum of all samples of this name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|seen| seen == value))
        };
        self.samples.iter().filter(has).map(|sample| sample.value).sum()
    }

    /// The values of a label.
    pub fn values(&self, name: &str, label: &str) -> BTreeSet<String> {
        let of_name = self.samples.iter().filter(|sample| sample.name == name);
        of_name.filter_map(|sample| sample.labels.get(label).cloned()).collect()
    }

    /// Whether there is a sample of this name, or of a histogram of this name.
    pub fn has(&self, name: &str) -> bool {
        let parts = ["", "_bucket"].map(|part| format!("{name}{part}"));
        self.samples.iter().any(|sample| parts.contains(&sample.name))
    }
}

impl Sample {
    fn parse(line: &str, is_open: bool) -> Self {
        let (line, exemplar) = match line.split_once(" # ") {
            Some((line, exemplar)) => (line, Some(exemplar)),
            None => (line, None),
        };
        let end = line.find(['{', ' ']).expect(line);
        let (name, rest) = line.split_at(end);
        assert!(is_name(name), "{line}");
        let (labels, rest) = labels(rest);
        let value = rest.strip_prefix(' ').expect(line);
        assert!(!value.contains(' '), "{line}");
        let exemplar = exemplar.map(|exemplar| {
            assert!(is_open, "{line}");
            let (labels, rest) = self::labels(exemplar);
            let (value, at) = rest.strip_prefix(' ').and_then(|rest| rest.split_once(' ')).expect(exemplar);
            assert!(value.parse::<f64>().is_ok() && at.parse::<f64>().is_ok_and(|at| at > 1e9), "{exemplar}");
            assert!(labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= 128, "{exemplar}");
            labels
        });
        Self { name: name.to_owned(), labels, value: value.parse().expect(line), exemplar }
    }
}

fn family_of<'n>(name: &'n str, kind: &str, is_open: bool) -> &'n str {
    match kind {
        "counter" => {
            let family = name.strip_suffix("_total").expect(name);
            if is_open { family } else { name }
        }
        "histogram" => {
            let parts = ["_bucket", "_sum", "_count"];
            parts.iter().find_map(|part| name.strip_suffix(part)).expect(name)
        }
        _ => name,
    }
}

/// The labels in braces, and what follows.
fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else { return (labels, text) };
    loop {
        let (name, after) = rest.split_once("=\"").expect(text);
        assert!(is_name(name) && !name.contains(':'), "{text}");
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (at, c) in after.char_indices() {
            match (escaped, c) {
                (false, '\\') => escaped = true,
                (false, '"') => {
                    end = Some(at);
                    break;
                }
                (false, c) => value.push(c),
                (true, 'n') => (escaped, ()) = (false, value.push('\n')),
                (true, '\\' | '"') => (escaped, ()) = (false, value.push(c)),
                (true, _) => panic!("an unknown escape: {text}"),
            }
        }
        assert!(labels.insert(name.to_owned(), value).is_none(), "a label twice: {text}");
        rest = &after[end.expect("a label without an end") + 1..];
        match rest.chars().next() {
            Some(',') => rest = &rest[1..],
            Some('}') => return (labels, &rest[1..]),
            _ => panic!("{text}"),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':');
    name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c.is_ascii_digit())
}
