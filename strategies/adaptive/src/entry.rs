//! A scored point.

use std::cmp::Ordering;

use lapidary_core::trial::Score;
use serde::{Deserialize, Serialize};

use crate::place::Place;

/// One scored point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it is.
    pub place: Place,
    /// How good it is.
    pub score: Score,
    /// Number of the tell it came with.
    pub at: u64,
    /// Its objectives as one number under the archive's scalarisation.
    #[serde(skip)]
    pub loss: f64,
}

impl Entry {
    /// Deb's order under a scalarisation: less violation first, then less loss.
    pub fn compare(&self, other: &Self) -> Ordering {
        let violation = self.score.violation.total_cmp(&other.score.violation);
        violation.then(self.loss.total_cmp(&other.loss))
    }
}
