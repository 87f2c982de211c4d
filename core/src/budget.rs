//! Budgets and clocks: what may be spent, and how time is told.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What a study may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// Trials of the searcher, repeated ones included; starting points are on top.
    pub trials: Option<u64>,
    /// Wall time; no trial starts after it.
    pub time: Option<Duration>,
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
