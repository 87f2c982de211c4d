//! Credit: what each member's proposals were worth lately, and whose turn it is.

use lapidary_core::rng::Rng;
use serde::{Deserialize, Serialize};

use crate::portfolio::Who;

/// Added to every credit, so that no member is given up.
const FLOOR: f64 = 0.03;
/// How much the latest reward counts, at first and in the long run.
const RATES: (f64, f64) = (0.3, 0.06);

/// Running means of rewards by member: probability matching (Thierens, "An Adaptive Pursuit Strategy for Allocating Operator
/// Probabilities", 2005; Fialho et al., 2010).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Credits(Vec<Credit>);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credit {
    /// Running mean of rewards in [0, 1].
    mean: f64,
    /// Number of rewards.
    used: f64,
}

impl Credits {
    /// Every member with the credit it starts with.
    pub fn new() -> Self {
        Self(
            Who::ALL
                .iter()
                .map(|who| Credit {
                    mean: who.first_credit(),
                    used: 0.0,
                })
                .collect(),
        )
    }

    /// Draws one of the members in proportion to their credit.
    ///
    /// # Panics
    /// When there is none.
    pub fn draw(&self, open: &[Who], rng: &mut Rng) -> Who {
        let weight = |who: &Who| self.0[*who as usize].mean + FLOOR;
        let total: f64 = open.iter().map(weight).sum();
        let mut u = rng.unit() * total;
        for who in open {
            u -= weight(who);
            if u < 0.0 {
                return *who;
            }
        }
        *open.last().expect("some member is open")
    }

    /// A proposal of `who` was worth `reward`, in [0, 1].
    pub fn give(&mut self, who: Who, reward: f64) {
        let credit = &mut self.0[who as usize];
        credit.used += 1.0;
        credit.mean += (reward - credit.mean) * (1.0 / credit.used).clamp(RATES.1, RATES.0);
    }

    /// Whether the numbers are credits of all members.
    pub fn is_sound(&self) -> bool {
        let fits = |c: &Credit| (0.0..=1.0).contains(&c.mean) && c.used >= 0.0;
        self.0.len() == Who::ALL.len() && self.0.iter().all(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rewards_count_most_and_old_ones_fade() {
        let mut credits = Credits::new();
        let mean = |credits: &Credits| credits.0[Who::Line as usize].mean;
        let first = mean(&credits);
        credits.give(Who::Line, 0.0);
        assert!((mean(&credits) - first * (1.0 - RATES.0)).abs() < 1e-12);
        for _ in 0..100 {
            credits.give(Who::Line, 1.0);
        }
        assert!(mean(&credits) > 0.99 && credits.is_sound());
    }

    #[test]
    fn turns_are_drawn_in_proportion_to_credit() {
        let mut credits = Credits::new();
        for _ in 0..200 {
            credits.give(Who::Line, 0.6);
            credits.give(Who::Tpe, 0.1);
        }
        let mut rng = Rng::keyed(1, 0, "credit");
        let open = [Who::Line, Who::Tpe];
        let draws = 20_000;
        let lines = (0..draws)
            .filter(|_| credits.draw(&open, &mut rng) == Who::Line)
            .count();
        let share = lines as f64 / draws as f64;
        let wanted = (0.6 + FLOOR) / (0.7 + 2.0 * FLOOR);
        assert!((share - wanted).abs() < 0.02, "{share} {wanted}");
    }
}
