//! Whether an endpoint may get requests, and why not: by the operator's word, by health
//! checks, by what real requests tell. [`HealthState`] is a state machine without a clock, a
//! socket or a log of its own.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::config::{ActiveCheck, Passive};

/// What the operator says of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperatorState {
    #[default]
    Enabled,
    /// The endpoint gets only the clients that stick to it.
    Draining,
    Disabled,
}

/// What a [`HealthState`] comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    Up,
    Down,
    Ejected,
    Draining,
    Disabled,
}

impl HealthStatus {
    pub const ALL: [Self; 5] = [Self::Up, Self::Down, Self::Ejected, Self::Draining, Self::Disabled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }

    /// Whether it is what the operator said.
    pub fn is_by_operator(self) -> bool {
        match self {
            Self::Draining | Self::Disabled => true,
            Self::Up | Self::Down | Self::Ejected => false,
        }
    }
}

impl std::fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        })
    }
}

/// The endpoint failed real requests and gets none for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ejection {
    until: Instant,
    reason: String,
}

#[derive(Debug)]
pub struct HealthState {
    operator: OperatorState,
    /// The operator's weight, in place of the configured one.
    weight: Option<u32>,
    healthy: bool,
    /// Checks in a row whose result contradicts `healthy`.
    contrary_checks: u32,
    last_check: String,
    ejection: Option<Ejection>,
    /// Ejections of which each followed soon after the one before.
    ejections_in_a_row: u32,
    returned_at: Option<Instant>,
    since: SystemTime,
}

/// An ejection lasts at most this many times `eject_for`.
const MAX_EJECT_FACTOR: u32 = 10;

impl Default for HealthState {
    fn default() -> Self {
        Self {
            operator: OperatorState::Enabled,
            weight: None,
            healthy: true,
            contrary_checks: 0,
            last_check: String::new(),
            ejection: None,
            ejections_in_a_row: 0,
            returned_at: None,
            since: SystemTime::now(),
        }
    }
}

impl HealthState {
    pub fn status(&self) -> HealthStatus {
        match (self.operator, self.healthy, &self.ejection) {
            (OperatorState::Disabled, _, _) => HealthStatus::Disabled,
            (OperatorState::Draining, _, _) => HealthStatus::Draining,
            (OperatorState::Enabled, false, _) => HealthStatus::Down,
            (OperatorState::Enabled, true, Some(_)) => HealthStatus::Ejected,
            (OperatorState::Enabled, true, None) => HealthStatus::Up,
        }
    }

    /// The reason for the status, in words for the operator; empty for [`HealthStatus::Up`].
    pub fn reason(&self) -> String {
        match self.status() {
            HealthStatus::Up => String::new(),
            HealthStatus::Down => self.last_check.clone(),
            HealthStatus::Ejected => self.ejection.as_ref().map(|e| e.reason.clone()).unwrap_or_default(),
            HealthStatus::Draining | HealthStatus::Disabled => "by the operator".to_owned(),
        }
    }

    /// Whether the clients that stick to the endpoint may go on.
    pub fn serves_sticky_clients(&self) -> bool {
        self.operator != OperatorState::Disabled && self.healthy && self.ejection.is_none()
    }

    pub fn is_up(&self) -> bool {
        self.status() == HealthStatus::Up
    }

    /// When the present status began.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    pub fn weight(&self) -> Option<u32> {
        self.weight
    }

    pub fn ejected_until(&self) -> Option<Instant> {
        self.ejection.as_ref().map(|e| e.until)
    }

    /// Notes the result of a health check and returns the change of the status in words, if
    /// it changes. With `none_up` the pool has no endpoint, so that one good check is enough.
    pub fn record_check(&mut self, found: Result<(), String>, rules: &ActiveCheck, none_up: bool) -> Option<String> {
        let good = found.is_ok();
        if let Err(reason) = found {
            self.last_check = reason;
        }
        if good == self.healthy {
            self.contrary_checks = 0;
            return None;
        }
        self.contrary_checks += 1;
        let needed = match good {
            true if none_up => 1,
            true => rules.healthy_after,
            false => rules.unhealthy_after,
        };
        if self.contrary_checks < needed {
            return None;
        }
        let count = std::mem::take(&mut self.contrary_checks);
        self.healthy = good;
        self.since = SystemTime::now();
        let checks = if count == 1 { "1 check".to_owned() } else { format!("{count} checks in a row") };
        if good {
            // What requests met before says nothing of an endpoint that was down since.
            self.ejection = None;
            return Some(format!("up: {checks} succeeded"));
        }
        self.last_check = format!("{checks} failed: {}", self.last_check);
        Some(format!("down: {}", self.last_check))
    }

    /// Ejects the endpoint and returns for how long. Each ejection that follows soon after
    /// the one before is longer.
    pub fn eject(&mut self, reason: &str, now: Instant, rules: &Passive) -> Duration {
        let soon = self
            .returned_at
            .is_some_and(|back| now.duration_since(back) <= rules.eject_for * self.ejections_in_a_row.max(1));
        self.ejections_in_a_row = if soon { self.ejections_in_a_row + 1 } else { 1 };
        let factor = 1u32.checked_shl(self.ejections_in_a_row - 1).unwrap_or(MAX_EJECT_FACTOR).min(MAX_EJECT_FACTOR);
        let time = rules.eject_for * factor;
        self.ejection = Some(Ejection { until: now + time, reason: reason.to_owned() });
        self.since = SystemTime::now();
        time
    }

    /// Ends the ejection if its time is over; returns whether it did.
    pub fn end_ejection(&mut self, now: Instant) -> bool {
        let is_due = self.ejection.as_ref().is_some_and(|e| e.until <= now);
        if is_due {
            self.ejection = None;
            self.returned_at = Some(now);
            self.since = SystemTime::now();
        }
        is_due
    }

    pub fn set_operator_state(&mut self, operator: OperatorState) {
        if self.operator != operator {
            self.since = SystemTime::now();
        }
        self.operator = operator;
        if operator == OperatorState::Enabled {
            // An enabled endpoint is treated as healthy until it fails again.
            self.ejection = None;
            self.ejections_in_a_row = 0;
            self.forget_checks();
        }
    }

    /// Treats the endpoint as healthy: nobody checks it any more, or the checks begin anew.
    pub fn forget_checks(&mut self) {
        if !self.healthy {
            self.since = SystemTime::now();
        }
        (self.healthy, self.contrary_checks) = (true, 0);
    }

    /// `None` is the configured weight.
    pub fn set_weight(&mut self, weight: Option<u32>) {
        self.weight = weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CheckKind;

    fn rules() -> ActiveCheck {
        ActiveCheck {
            locations: Default::default(),
            kind: CheckKind::Tcp,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy_after: 2,
            unhealthy_after: 3,
            port: None,
            tls: None,
        }
    }

    #[test]
    fn checks_need_some_in_a_row_and_one_when_nobody_is_there() {
        let mut endpoint = HealthState::default();
        let bad = || Err("refused".to_owned());
        assert_eq!(endpoint.record_check(bad(), &rules(), false), None);
        assert_eq!(endpoint.record_check(bad(), &rules(), false), None);
        assert_eq!(endpoint.record_check(Ok(()), &rules(), false), None);
        assert_eq!(endpoint.record_check(bad(), &rules(), false), None);
        assert_eq!(endpoint.record_check(bad(), &rules(), false), None);
        let change = endpoint.record_check(bad(), &rules(), false).unwrap();
        assert_eq!(change, "down: 3 checks in a row failed: refused");
        assert_eq!(
            (endpoint.status(), endpoint.reason()),
            (HealthStatus::Down, "3 checks in a row failed: refused".into())
        );
        assert_eq!(endpoint.record_check(bad(), &rules(), false), None);
        assert_eq!(endpoint.record_check(Ok(()), &rules(), false), None);
        assert_eq!(endpoint.record_check(Ok(()), &rules(), false).unwrap(), "up: 2 checks in a row succeeded");
        (0..3).for_each(|_| drop(endpoint.record_check(bad(), &rules(), false)));
        assert_eq!(endpoint.record_check(Ok(()), &rules(), true).unwrap(), "up: 1 check succeeded");
    }

    #[test]
    fn ejections_grow_and_are_forgiven() {
        let rules = Passive { failures: 5, eject_for: Duration::from_secs(30), max_ejected: 50, statuses: Vec::new() };
        let mut endpoint = HealthState::default();
        let mut now = Instant::now();
        let mut times = Vec::new();
        for _ in 0..6 {
            let time = endpoint.eject("x", now, &rules);
            assert_eq!(endpoint.status(), HealthStatus::Ejected);
            assert!(!endpoint.end_ejection(now) && !endpoint.is_up());
            now += time;
            assert!(endpoint.end_ejection(now) && endpoint.is_up());
            times.push(time.as_secs());
        }
        assert_eq!(times, [30, 60, 120, 240, 300, 300]);
        now += Duration::from_secs(3600);
        assert_eq!(endpoint.eject("x", now, &rules).as_secs(), 30);
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let rules = Passive { failures: 5, eject_for: Duration::from_secs(30), max_ejected: 50, statuses: Vec::new() };
        let mut endpoint = HealthState::default();
        endpoint.set_operator_state(OperatorState::Draining);
        assert!(endpoint.serves_sticky_clients() && !endpoint.is_up());
        endpoint.set_operator_state(OperatorState::Disabled);
        assert!(!endpoint.serves_sticky_clients());
        endpoint.eject("x", Instant::now(), &rules);
        endpoint.set_operator_state(OperatorState::Enabled);
        assert!(endpoint.is_up());
    }
}
