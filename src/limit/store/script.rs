//! The script by which the store decides: one round trip, and the store's own clock, so that the
//! proxies of a fleet need not agree on the time.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};

use crate::limit::quota::Quota;

/// [`Quota::take`] in Lua. Times are microseconds since a day that leaves room for their fractions
/// in a floating-point number. A key is gone as soon as it has paid for its requests. None owes more
/// than a limit lets it, however the clock was set meanwhile.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
local now = (time[1] - 1700000000) * 1000000 + time[2]
local interval, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local paid = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now), now + most)
local debt = paid - now + interval
if debt > most + 0.5 then
  return {0, math.floor(debt)}
end
redis.call('SET', KEYS[1], string.format('%.3f', now + debt), 'PX', math.ceil(debt / 1000) + 1)
return {1, math.floor(debt)}",
    )
});

/// What the store said of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub passes: bool,
    /// With which the key was left, or for which the request was refused, in nanoseconds.
    pub debt: u64,
}

/// Counts a request of `key`. The script is sent once, and named by its hash from then on.
///
/// # Errors
/// As the store says, or when the connection is gone.
pub async fn take(mut connection: MultiplexedConnection, key: &str, quota: &Quota) -> RedisResult<Taken> {
    let mut call = TAKE.key(key);
    call.arg(microseconds(quota.interval())).arg(microseconds(quota.tolerance()));
    let (passes, debt): (u8, u64) = call.invoke_async(&mut connection).await?;
    let debt = debt.saturating_mul(1000);
    // A microsecond for what was rounded.
    let most = (quota.tolerance() + quota.interval()).as_nanos() + 1000;
    if u128::from(debt) > most {
        return Err((redis::ErrorKind::UnexpectedReturnType, "more than the limit lets a key owe").into());
    }
    Ok(Taken { passes: passes == 1, debt })
}

fn microseconds(time: std::time::Duration) -> String {
    let nanos = time.as_nanos();
    format!("{}.{:03}", nanos / 1000, nanos % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_keep_their_fractions() {
        assert_eq!(microseconds(Duration::from_nanos(1_429)), "1.429");
        assert_eq!(microseconds(Duration::from_secs(3600)), "3600000000.000");
        assert_eq!(microseconds(Duration::from_nanos(7)), "0.007");
    }
}
