//! `GET /reasons`: what each word means by which logs, metrics and error pages name what went wrong.

use serde::Serialize;

use super::answer::Answer;
use crate::filter::Cause;

#[derive(Serialize)]
struct Reasons {
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct Reason {
    reason: &'static str,
    status: u16,
    /// Whose fault it is.
    source: &'static str,
    cause: &'static str,
    cure: &'static str,
}

pub fn answer() -> Answer {
    let reason = |cause: &Cause| Reason {
        reason: cause.reason(),
        status: cause.status(),
        source: cause.source().as_str(),
        cause: cause.message(),
        cure: cause.cure(),
    };
    Answer::json(&Reasons { reasons: Cause::all().iter().map(reason).collect() })
}
