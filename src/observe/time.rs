//! Points in time as logs write them, in UTC.

use std::time::SystemTime;

pub struct CommonTime(pub SystemTime);
pub struct ClockTime(pub SystemTime);

/// `2024-02-29T12:34:56.789Z` (RFC 3339), without the formatting machinery: it stands
/// in every line.
pub fn push_timestamp(out: &mut Vec<u8>, at: SystemTime) {
    let c = Civil::from(at);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let (year, month, day) = (u64::try_from(c.year).unwrap_or(0), u64::from(c.month), u64::from(c.day));
    put_digits(&mut text[0..4], year);
    put_digits(&mut text[5..7], month);
    put_digits(&mut text[8..10], day);
    put_digits(&mut text[11..13], c.hour);
    put_digits(&mut text[14..16], c.minute);
    put_digits(&mut text[17..19], c.second);
    put_digits(&mut text[20..23], u64::from(c.milli));
    out.extend_from_slice(&text);
}

/// The last digits of a number, as many as there is room for, zeros in front.
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
        let c = Civil::from(self.0);
        let month = MONTHS.get(c.month as usize - 1).copied().unwrap_or("Jan");
        write!(f, "{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000", c.day, c.year, c.hour, c.minute, c.second)
    }
}

impl std::fmt::Display for ClockTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let c = Civil::from(self.0);
        write!(f, "{:02}:{:02}:{:02}", c.hour, c.minute, c.second)
    }
}

struct Civil {
    year: i64,
    month: u32,
    day: u32,
    hour: u64,
    minute: u64,
    second: u64,
    milli: u32,
}

impl From<SystemTime> for Civil {
    /// Howard Hinnant's `civil_from_days`, in UTC.
    fn from(at: SystemTime) -> Self {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs();
        let days = i64::try_from(seconds / 86_400).unwrap_or(0) + 719_468;
        let era = days.div_euclid(146_097);
        let doe = days.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        Self {
            year: yoe + era * 400 + i64::from(month <= 2),
            month: u32::try_from(month).unwrap_or(1),
            day: u32::try_from(doy - (153 * mp + 2) / 5 + 1).unwrap_or(1),
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            milli: since.subsec_millis(),
        }
    }
}
