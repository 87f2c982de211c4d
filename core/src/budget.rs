//! Budgets and clocks: what may be spent, and how time is told.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Running trials may go on for one part in so many of the budget's time.
const GRACE: u32 = 10;

/// What a study may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// Trials, starting points and repeated points among them.
    pub trials: Option<u64>,
    /// Wall time; no trial starts after it, and those that run then have a tenth of it more to end.
    pub time: Option<Duration>,
}

impl Budget {
    /// Whether no trial may start any more once so much time was spent.
    pub fn is_over(&self, spent: Duration) -> bool {
        self.time.is_some_and(|time| spent >= time)
    }

    /// Whether no trial may even run any more once so much time was spent.
    pub fn is_overdue(&self, spent: Duration) -> bool {
        self.time
            .is_some_and(|time| spent >= time.saturating_add(time / GRACE))
    }
}

/// What a single trial may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Wall time.
    pub time: Option<Duration>,
    /// Resident memory of all its processes together, in bytes.
    pub memory: Option<u64>,
}

impl Limits {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Tells the time, so that `core` itself reads no clock.
pub trait Clock: Sync {
    /// Time since some fixed moment.
    fn now(&self) -> Duration;
}

/// The machine's monotonic clock, from the moment it is made.
#[derive(Debug, Clone, Copy)]
pub struct WallClock(Instant);

impl WallClock {
    /// A clock that starts at zero now.
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for WallClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_trials_have_a_tenth_more() {
        let seconds = Duration::from_secs;
        let budget = Budget {
            time: Some(seconds(100)),
            ..Budget::default()
        };
        assert!(!budget.is_over(seconds(99)) && budget.is_over(seconds(100)));
        assert!(!budget.is_overdue(seconds(109)) && budget.is_overdue(seconds(110)));
        let endless = Budget::default();
        assert!(!endless.is_over(Duration::MAX) && !endless.is_overdue(Duration::MAX));
    }
}
