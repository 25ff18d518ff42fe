//! `reasons`: the words by which logs, metrics and error pages name what went wrong.

use clap::Args;
use proxy_service::filter::Cause;

use super::out;

/// Says what a reason in a log, a metric or an error page means, and what can be done about it
#[derive(Args, Debug)]
pub struct Reasons {
    /// One of the words; without it all of them
    #[arg(value_name = "REASON")]
    word: Option<String>,
    /// Prints the reference page instead
    #[arg(long, conflicts_with = "word")]
    markdown: bool,
}

impl Reasons {
    /// # Errors
    /// When there is no such word, or nobody reads.
    pub fn run(&self) -> Result<(), String> {
        match &self.word {
            _ if self.markdown => out::print(&page()),
            None => out::print(&list()),
            Some(word) => match Cause::all().iter().find(|cause| cause.reason() == word) {
                Some(cause) => out::print(&about(*cause)),
                None => Err(format!("error: no reason is called `{word}`: `pingora-proxy reasons` lists them")),
            },
        }
    }
}

fn list() -> String {
    let row = |cause: &Cause| format!("{:<38} {}  {}\n", cause.reason(), cause.status(), cause.message());
    Cause::all().iter().map(row).collect()
}

fn about(cause: Cause) -> String {
    format!(
        "{}: {}\nstatus:       {}\nwhose fault:  {}\nProxy-Status: {}\nwhat to do:   {}\n",
        cause.reason(),
        cause.message(),
        cause.status(),
        cause.source().as_str(),
        cause.proxy_status(),
        cause.cure(),
    )
}

const INTRODUCTION: &str = "# Reasons

<!-- Written by `pingora-proxy reasons --markdown`. -->

When the proxy answers by itself, or ends what it has begun, it says why with one of these words. It is `reason` in the
access log, in the metrics and in error pages, and stands first in `details` of `Proxy-Status` (RFC 9209). The words do not change.
`pingora-proxy reasons WORD` says the same in a terminal. A status of 499 is never sent: that client is gone. What fails once
the response has begun cuts the response short; the status in the log is the one that was sent.

| reason | status | whose fault | what happened | what to do |
| --- | --- | --- | --- | --- |
";

fn page() -> String {
    Cause::all().iter().fold(INTRODUCTION.to_owned(), |page, cause| {
        let (status, source) = (cause.status(), cause.source().as_str());
        page + &format!("| `{}` | {status} | {source} | {} | {} |\n", cause.reason(), cause.message(), cause.cure())
    })
}
