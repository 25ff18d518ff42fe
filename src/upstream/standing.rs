//! Whether a server may get requests, and why not: by the operator's word, by checks, by
//! what real requests tell. A state machine without a clock, a socket or a log of its own.

use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::config::{ActiveCheck, Passive};

/// What the operator says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admin {
    #[default]
    Enabled,
    /// Only clients that stick to it.
    Draining,
    Disabled,
}

/// What it all comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Up,
    Down,
    Ejected,
    Draining,
    Disabled,
}

impl std::fmt::Display for State {
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

/// A server that real requests found wanting.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ejection {
    until: Instant,
    reason: String,
}

#[derive(Debug)]
pub struct Standing {
    admin: Admin,
    /// In place of the configured one.
    weight: Option<u32>,
    healthy: bool,
    /// Checks in a row that say otherwise.
    contrary: u32,
    last_check: String,
    ejection: Option<Ejection>,
    /// Ejections in a row.
    times: u32,
    came_back: Option<Instant>,
    since: SystemTime,
}

/// Ejections last at most so many times `eject_for`.
const LONGEST: u32 = 10;

impl Default for Standing {
    fn default() -> Self {
        Self {
            admin: Admin::Enabled,
            weight: None,
            healthy: true,
            contrary: 0,
            last_check: String::new(),
            ejection: None,
            times: 0,
            came_back: None,
            since: SystemTime::now(),
        }
    }
}

impl Standing {
    pub fn state(&self) -> State {
        match (self.admin, self.healthy, &self.ejection) {
            (Admin::Disabled, _, _) => State::Disabled,
            (Admin::Draining, _, _) => State::Draining,
            (Admin::Enabled, false, _) => State::Down,
            (Admin::Enabled, true, Some(_)) => State::Ejected,
            (Admin::Enabled, true, None) => State::Up,
        }
    }

    /// In words for the operator; empty where nothing is to be said.
    pub fn reason(&self) -> String {
        match self.state() {
            State::Up => String::new(),
            State::Down => self.last_check.clone(),
            State::Ejected => self.ejection.as_ref().map(|e| e.reason.clone()).unwrap_or_default(),
            State::Draining | State::Disabled => "by the operator".to_owned(),
        }
    }

    /// Whether clients that stick to it may go on.
    pub fn keeps_its_own(&self) -> bool {
        self.admin != Admin::Disabled && self.healthy && self.ejection.is_none()
    }

    pub fn is_up(&self) -> bool {
        self.state() == State::Up
    }

    /// When the present state began.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    pub fn weight(&self) -> Option<u32> {
        self.weight
    }

    pub fn admin(&self) -> Admin {
        self.admin
    }

    pub fn until(&self) -> Option<Instant> {
        self.ejection.as_ref().map(|e| e.until)
    }

    /// What a check found. `alone`: no server is there, so that one good check is enough.
    /// Returns the change in words.
    pub fn checked(&mut self, found: Result<(), String>, rules: &ActiveCheck, alone: bool) -> Option<String> {
        let good = found.is_ok();
        if let Err(reason) = found {
            self.last_check = reason;
        }
        if good == self.healthy {
            self.contrary = 0;
            return None;
        }
        self.contrary += 1;
        let needed = match good {
            true if alone => 1,
            true => rules.healthy_after,
            false => rules.unhealthy_after,
        };
        if self.contrary < needed {
            return None;
        }
        let count = std::mem::take(&mut self.contrary);
        self.healthy = good;
        self.since = SystemTime::now();
        let checks = if count == 1 { "1 check".to_owned() } else { format!("{count} checks in a row") };
        if good {
            // What requests met before says nothing of a server that was down since.
            self.ejection = None;
            return Some(format!("up: {checks} succeeded"));
        }
        self.last_check = format!("{checks} failed: {}", self.last_check);
        Some(format!("down: {}", self.last_check))
    }

    /// Returns for how long.
    pub fn eject(&mut self, reason: &str, now: Instant, rules: &Passive) -> Duration {
        let soon = self.came_back.is_some_and(|back| now.duration_since(back) <= rules.eject_for * self.times.max(1));
        self.times = if soon { self.times + 1 } else { 1 };
        let factor = 1u32.checked_shl(self.times - 1).unwrap_or(LONGEST).min(LONGEST);
        let time = rules.eject_for * factor;
        self.ejection = Some(Ejection { until: now + time, reason: reason.to_owned() });
        self.since = SystemTime::now();
        time
    }

    /// Ends an ejection whose time has come; says whether there was one.
    pub fn come_back(&mut self, now: Instant) -> bool {
        let is_due = self.ejection.as_ref().is_some_and(|e| e.until <= now);
        if is_due {
            self.ejection = None;
            self.came_back = Some(now);
            self.since = SystemTime::now();
        }
        is_due
    }

    pub fn set_admin(&mut self, admin: Admin) {
        if self.admin != admin {
            self.since = SystemTime::now();
        }
        self.admin = admin;
        if admin == Admin::Enabled {
            // The operator knows better.
            self.ejection = None;
            self.times = 0;
            self.forget_checks();
        }
    }

    /// Nobody checks any more, or from now on anew.
    pub fn forget_checks(&mut self) {
        if !self.healthy {
            self.since = SystemTime::now();
        }
        (self.healthy, self.contrary) = (true, 0);
    }

    /// `None` is the configured one.
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
        let mut server = Standing::default();
        let bad = || Err("refused".to_owned());
        assert_eq!(server.checked(bad(), &rules(), false), None);
        assert_eq!(server.checked(bad(), &rules(), false), None);
        assert_eq!(server.checked(Ok(()), &rules(), false), None);
        assert_eq!(server.checked(bad(), &rules(), false), None);
        assert_eq!(server.checked(bad(), &rules(), false), None);
        let change = server.checked(bad(), &rules(), false).unwrap();
        assert_eq!(change, "down: 3 checks in a row failed: refused");
        assert_eq!((server.state(), server.reason()), (State::Down, "3 checks in a row failed: refused".into()));
        assert_eq!(server.checked(bad(), &rules(), false), None);
        assert_eq!(server.checked(Ok(()), &rules(), false), None);
        assert_eq!(server.checked(Ok(()), &rules(), false).unwrap(), "up: 2 checks in a row succeeded");
        (0..3).for_each(|_| drop(server.checked(bad(), &rules(), false)));
        assert_eq!(server.checked(Ok(()), &rules(), true).unwrap(), "up: 1 check succeeded");
    }

    #[test]
    fn ejections_grow_and_are_forgiven() {
        let rules = Passive { failures: 5, eject_for: Duration::from_secs(30), max_ejected: 50, statuses: Vec::new() };
        let mut server = Standing::default();
        let mut now = Instant::now();
        let mut times = Vec::new();
        for _ in 0..6 {
            let time = server.eject("x", now, &rules);
            assert_eq!(server.state(), State::Ejected);
            assert!(!server.come_back(now) && !server.is_up());
            now += time;
            assert!(server.come_back(now) && server.is_up());
            times.push(time.as_secs());
        }
        assert_eq!(times, [30, 60, 120, 240, 300, 300]);
        now += Duration::from_secs(3600);
        assert_eq!(server.eject("x", now, &rules).as_secs(), 30);
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let rules = Passive { failures: 5, eject_for: Duration::from_secs(30), max_ejected: 50, statuses: Vec::new() };
        let mut server = Standing::default();
        server.set_admin(Admin::Draining);
        assert!(server.keeps_its_own() && !server.is_up());
        server.set_admin(Admin::Disabled);
        assert!(!server.keeps_its_own());
        server.eject("x", Instant::now(), &rules);
        server.set_admin(Admin::Enabled);
        assert!(server.is_up());
    }
}
