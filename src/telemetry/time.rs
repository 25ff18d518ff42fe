//! Points in time as logs write them, in UTC. `time` knows the calendar; the digits of a
//! timestamp are written here, because they stand in every line.

use std::time::SystemTime;

use time::UtcDateTime;

pub struct CommonTime(pub SystemTime);
pub struct ClockTime(pub SystemTime);

/// Appends a timestamp of RFC 3339, such as `2024-02-29T12:34:56.789Z`.
pub fn push_timestamp(out: &mut Vec<u8>, at: SystemTime) {
    let (at, mut text) = (civil(at), *b"0000-00-00T00:00:00.000Z");
    put_digits(&mut text[0..4], u64::try_from(at.year()).unwrap_or(0));
    put_digits(&mut text[5..7], u8::from(at.month()).into());
    put_digits(&mut text[8..10], at.day().into());
    put_digits(&mut text[11..13], at.hour().into());
    put_digits(&mut text[14..16], at.minute().into());
    put_digits(&mut text[17..19], at.second().into());
    put_digits(&mut text[20..23], at.millisecond().into());
    out.extend_from_slice(&text);
}

/// The same as text of its own.
pub fn timestamp(at: SystemTime) -> String {
    let mut out = Vec::with_capacity(24);
    push_timestamp(&mut out, at);
    String::from_utf8(out).unwrap_or_default()
}

/// Writes the last digits of a number, as many as there is room for, with zeros in front.
pub fn put_digits(room: &mut [u8], value: u64) {
    let mut rest = value;
    for place in room.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
}

impl std::fmt::Display for CommonTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let at = civil(self.0);
        let month = MONTHS.get(usize::from(u8::from(at.month())) - 1).copied().unwrap_or("Jan");
        let (hour, minute, second) = at.as_hms();
        write!(f, "{:02}/{month}/{:04}:{hour:02}:{minute:02}:{second:02} +0000", at.day(), at.year())
    }
}

impl std::fmt::Display for ClockTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (hour, minute, second) = civil(self.0).as_hms();
        write!(f, "{hour:02}:{minute:02}:{second:02}")
    }
}

/// The point in time on the calendar. A clock that is set before 1970 or behind the year
/// 9999 shows the beginning of 1970.
fn civil(at: SystemTime) -> UtcDateTime {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanoseconds = i128::try_from(since.as_nanos()).unwrap_or(0);
    UtcDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(UtcDateTime::UNIX_EPOCH)
}
