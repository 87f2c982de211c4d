//! Changes of points: along an axis, to another option, and of several axes at once.

use std::sync::Arc;

use lapidary_core::rng::Rng;
use lapidary_core::space::{AxisValue, Domain, Point, Space};
use serde::{Deserialize, Serialize};

/// Largest step, as a share of an axis.
pub const WIDEST: f64 = 0.5;

/// Values by axis index; `None` where inactive.
pub type Values = Vec<Option<AxisValue>>;

/// A change of one axis.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Move {
    /// Along an order, by a share of the axis.
    Step { axis: usize, up: bool, size: f64 },
    /// To another option.
    Switch {
        axis: usize,
        option: usize,
        from: usize,
    },
    /// On by as much as the last round went.
    Pattern,
}

/// How an axis with an order is walked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Share of the axis.
    pub step: f64,
    /// The direction to try first.
    pub up: bool,
    /// Whether a step down, up failed since the last success or halving.
    pub failed: [bool; 2],
}

impl Move {
    pub fn axis(self) -> Option<usize> {
        match self {
            Self::Step { axis, .. } | Self::Switch { axis, .. } => Some(axis),
            Self::Pattern => None,
        }
    }
}

impl Pace {
    pub fn of(step: f64) -> Self {
        Self {
            step,
            up: true,
            failed: [false; 2],
        }
    }

    /// Notes that a step failed; the steps are halved when both directions have.
    pub fn fail(&mut self, up: bool, size: f64) {
        self.failed[usize::from(up)] = true;
        if self.failed == [true; 2] {
            self.step = self.step.min(size) / 2.0;
            self.failed = [false; 2];
        }
    }
}

/// The values with gaps filled from memory.
pub fn overlay(memory: &Values, values: &Values) -> Values {
    let pairs = memory.iter().zip(values);
    pairs.map(|(kept, new)| new.or(*kept)).collect()
}

/// The value `size` up or down an ordered axis, one neighbour at least; `None` at the end of the axis.
pub fn along(domain: &Domain, old: AxisValue, up: bool, size: f64) -> Option<AxisValue> {
    let u = domain.to_unit(old) + if up { size } else { -size };
    let new = domain.at_unit(u);
    if new != old {
        return Some(new);
    }
    let (rank, n) = (domain.rank(old)?, domain.cardinality()?);
    let next = if up {
        rank.checked_add(1).filter(|r| *r < n)
    } else {
        rank.checked_sub(1)
    };
    next.map(|rank| domain.nth(rank))
}

/// Number of options of a choice; 0 for numbers.
pub fn options(domain: &Domain) -> usize {
    match domain {
        Domain::Choice { options } => options.len(),
        _ => 0,
    }
}

/// A copy with `width` of the active axes changed, and whatever becomes active drawn anew: options to any other, numbers by
/// jumps of every magnitude, or, where it is to be `far`, to anywhere.
pub fn shake(
    space: &Arc<Space>,
    memory: &Values,
    active: &[usize],
    width: u32,
    far: bool,
    rng: &mut Rng,
) -> Point {
    let mut values: Values = memory.clone();
    for (i, axis) in space.axes().iter().enumerate() {
        if !active.contains(&i) {
            values[i] = Some(axis.domain.sample(rng));
        }
    }
    let mut axes = active.to_vec();
    rng.shuffle(&mut axes);
    for axis in axes.into_iter().take(width as usize) {
        let domain = &space.axes()[axis].domain;
        let Some(old) = memory[axis] else { continue };
        values[axis] = Some(match domain.cardinality() {
            // Small axes have no magnitudes to speak of.
            Some(n) if n <= 8 || domain.is_choice() => {
                let other = rng.below(n.max(2) - 1);
                let rank = domain.rank(old).unwrap_or(0);
                domain.nth((other + u64::from(other >= rank)).min(n - 1))
            }
            _ if far => domain.sample(rng),
            _ => {
                // Log-uniform between 1/128 and 1/2 of the axis.
                let size = libm::exp2(-1.0 - 6.0 * rng.unit());
                let sign = if rng.chance(0.5) { 1.0 } else { -1.0 };
                domain.at_unit(domain.to_unit(old) + sign * size)
            }
        });
    }
    space.point(values)
}
