//! The error log: where it goes, and which messages of Pingora it holds.

use std::io::Write as _;

use crate::config::{Config, ErrorLog};
use crate::message::escaping::printable;
use crate::telemetry::ErrorFile;

/// Starts the error log and returns its file, where it goes to one.
///
/// # Errors
/// When the file cannot be opened.
pub fn start(config: &Config) -> Result<Option<ErrorFile>, String> {
    let mut logger = env_logger::Builder::new();
    // Pingora logs each connection that a client ends; the access log has those.
    logger.filter_level(config.log.level).filter_module("pingora", log::LevelFilter::Warn);
    for module in ["pingora_core", "pingora_proxy"] {
        logger.filter_module(module, config.log.level.min(log::LevelFilter::Error));
    }
    // rustls warns of what any client can send, as often as it likes. Why a client was not let in
    // is in the log of the listener.
    logger.filter_module("rustls", config.log.level.min(log::LevelFilter::Error));
    // Pingora calls each idle connection that an upstream closed an error.
    logger.filter_module("pingora_core::connectors", log::LevelFilter::Off);
    logger.parse_default_env();
    logger.format(|out, record| {
        let (level, time) = (record.level(), out.timestamp());
        let style = out.default_level_style(level);
        let message = on_lines(&record.args().to_string());
        writeln!(out, "[{time} {style}{level:<5}{style:#} {}] {message}", record.target())
    });
    let file = match &config.server.error_log {
        ErrorLog::Stderr => None,
        ErrorLog::File(path) => {
            let open = |e| format!("cannot open the error log {}: {e}", path.display());
            Some(ErrorFile::open(path.clone()).map_err(open)?)
        }
    };
    if let Some(file) = file.clone() {
        logger.target(env_logger::Target::Pipe(Box::new(file)));
    }
    logger.try_init().map_err(|e| e.to_string())?;
    Ok(file)
}

/// A message as the log holds it: what an upstream or a client put into it moves no cursor,
/// begins no line of its own and makes none longer than a bound. The lines behind the first
/// one are indented.
fn on_lines(message: &str) -> String {
    const MOST: usize = 4096;
    let mut out = String::with_capacity(message.len() + 16);
    for (number, line) in printable(message).split('\n').enumerate() {
        if number > 0 {
            out.push_str("\n    ");
        }
        match line.char_indices().nth(MOST) {
            Some((end, _)) => {
                out.push_str(line.get(..end).unwrap_or(line));
                out.push('…');
            }
            None => out.push_str(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_no_line_of_its_own() {
        assert_eq!(
            on_lines("refused: \u{1b}[1m\n[now ERROR x] forged"),
            "refused: \\u{1b}[1m\n    [now ERROR x] forged"
        );
        let long = on_lines(&"é".repeat(10_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (4097, true));
    }
}
