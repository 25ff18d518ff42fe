//! Which requests have a line in the access log.

use std::time::Duration;

use super::record::{AccessRecord, has_failed};
use crate::config::{AccessLog, Share};

#[derive(Clone, Debug)]
pub struct Sampling {
    /// `None` where each request is logged.
    share: Option<u32>,
    errors: bool,
    slower_than: Option<Duration>,
    status: Vec<(u16, u16)>,
}

impl Sampling {
    pub fn new(config: &AccessLog) -> Self {
        let always = &config.always;
        Self {
            share: (config.sample != Share::ALL).then_some(config.sample.0),
            errors: always.errors,
            slower_than: always.slower_than,
            status: always.status.clone(),
        }
    }

    /// Whether the request is one of the share, or one that is logged in any case.
    pub fn takes(&self, record: &AccessRecord<'_>) -> bool {
        let Some(share) = self.share else {
            return true;
        };
        self.always_takes(record) || fastrand::u32(0..Share::ALL.0) < share
    }

    fn always_takes(&self, record: &AccessRecord<'_>) -> bool {
        self.errors && has_failed(record.status, record.error_source)
            || self.slower_than.is_some_and(|limit| record.duration > limit)
            || self.status.iter().any(|(from, to)| (*from..=*to).contains(&record.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::ErrorSource;
    use crate::telemetry::format::tests::record;

    #[test]
    fn failures_and_slow_requests_stay_and_the_rest_is_sampled() {
        let only = |share| Sampling {
            share,
            errors: true,
            slower_than: Some(Duration::from_secs(1)),
            status: vec![(404, 404), (410, 420)],
        };
        let good = AccessRecord { status: 200, error_source: None, ..record() };
        assert!(only(None).takes(&good) && !only(Some(0)).takes(&good));
        for (status, source) in [(502, None), (200, Some(ErrorSource::Upstream)), (404, None), (415, None)] {
            assert!(only(Some(0)).takes(&AccessRecord { status, error_source: source, ..good.clone() }), "{status}");
        }
        let client = AccessRecord { status: 499, error_source: Some(ErrorSource::Client), ..good.clone() };
        assert!(!only(Some(0)).takes(&client));
        assert!(only(Some(0)).takes(&AccessRecord { duration: Duration::from_secs(2), ..client }));
        let tenth = only(Some(100_000));
        let taken = (0..20_000).filter(|_| tenth.takes(&good)).count();
        assert!((1_500..2_500).contains(&taken), "{taken}");
    }
}
