//! `log.access`: one line for each request.

use super::choice::{Always, Redact};
use super::format::{AccessFormat, FORMATS};
use super::target::AccessTarget;
use crate::config::section::{number, or_word, section};
use crate::config::value::{SHARE, Share};
use crate::config::yaml::Invalid;

section! {
    /// One line for each request.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`access`" pub struct AccessLog {
        /// Where the lines go: a file, or `{ syslog: unix:/dev/log }`.
        to: AccessTarget = "stdout";
        /// How a line is written: a word, or a template such as `'{client_ip} {method} {path} {status} {header:accept}'`.
        format: Option<AccessFormat> = "auto", with or_word("auto", "`text` on a terminal and `json` elsewhere.", FORMATS);
        /// The share of the requests that is logged, of those that `always` does not name; `0%` leaves these alone.
        sample: Share = "100%", with SHARE;
        /// Which requests are logged whatever `sample` says: those for which one of its keys holds.
        always: Always = {};
        /// What is hidden in every line.
        redact: Redact = {};
        /// How many of the newest requests are kept in memory for `/requests` and `replay`, in 16 MiB at most.
        recent: Option<usize> = "auto", with or_word("auto", "10000, or none where `to` is `off`.", number(0..=1_000_000));
    }
    no_effect AccessLog::no_effect;
}

impl AccessLog {
    /// How many of the newest requests are kept.
    pub fn kept(&self) -> usize {
        const USUAL: usize = 10_000;
        self.recent.unwrap_or(if self.to == AccessTarget::Off { 0 } else { USUAL })
    }

    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let is_off = self.to == AccessTarget::Off;
        match key {
            "sample" | "always" if is_off => Some(Invalid::new(format!("`{key}` has no effect: `to` is `off`"))),
            "always" if self.sample == Share::ALL => Some(Invalid::with_help(
                "`always` has no effect: every request is logged",
                "add `sample: 0%` to log no others, or `sample: 1%` for a share of them",
            )),
            "redact" if is_off && self.kept() == 0 => {
                Some(Invalid::new("`redact` has no effect: no request is logged or kept"))
            }
            _ => None,
        }
    }
}
