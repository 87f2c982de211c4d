//! What trials gain from rung to rung.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Gains that count: what is reached by then changes as the search goes on.
const RECENT: usize = 32;

/// Differences of objectives between neighbouring rungs of the same candidate, the most recent ones of each rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gains(Vec<VecDeque<Vec<f64>>>);

impl Gains {
    /// Nothing known of so many rungs above the first.
    pub fn new(rungs: usize) -> Self {
        Self(vec![VecDeque::new(); rungs])
    }

    /// Takes note of a candidate's objectives at a rung and at the next.
    pub fn learn(&mut self, rung: usize, before: &[f64], after: &[f64]) {
        let gain: Vec<f64> = before.iter().zip(after).map(|(b, a)| a - b).collect();
        if gain.iter().all(|g| g.is_finite()) {
            let gains = &mut self.0[rung];
            gains.push_back(gain);
            if gains.len() > RECENT {
                gains.pop_front();
            }
        }
    }

    /// What objectives found at a rung come to at the last one, as far as that is known.
    pub fn at_the_top(&self, rung: usize, objectives: &[f64]) -> Vec<f64> {
        let one = |(m, value): (usize, &f64)| {
            let gained = |gains: &VecDeque<Vec<f64>>| median(gains.iter().map(|g| g[m]).collect());
            let whole: f64 = self.0[rung..].iter().filter_map(gained).sum();
            let sum = value + whole;
            if sum.is_finite() { sum } else { *value }
        };
        objectives.iter().enumerate().map(one).collect()
    }

    /// Whether these are gains of so many objectives over so many rungs.
    pub fn is_sound(&self, rungs: usize, objectives: usize) -> bool {
        self.0.len() == rungs
            && self.0.iter().all(|gains| {
                gains.len() <= RECENT && gains.iter().all(|gain| gain.len() == objectives)
            })
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(lower / 2.0 + upper / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_add_up_over_the_rungs_and_only_recent_ones_count() {
        let mut gains = Gains::new(2);
        assert_eq!(gains.at_the_top(0, &[5.0]), [5.0]);
        for _ in 0..100 {
            gains.learn(0, &[0.0], &[7.0]);
        }
        for gain in [-1.0, -2.0, -100.0] {
            for _ in 0..20 {
                gains.learn(0, &[1.0], &[1.0 + gain]);
            }
        }
        // Of the last 32, 12 gained 2 and 20 gained 100.
        assert_eq!(gains.at_the_top(0, &[5.0]), [-95.0]);
        gains.learn(1, &[5.0], &[4.0]);
        gains.learn(1, &[5.0], &[2.0]);
        assert_eq!(gains.at_the_top(0, &[5.0]), [-97.0]);
        assert_eq!(gains.at_the_top(1, &[5.0]), [3.0]);
        assert_eq!(gains.at_the_top(2, &[5.0]), [5.0]);
    }

    #[test]
    fn extremes_stay_finite() {
        let mut gains = Gains::new(1);
        gains.learn(0, &[-f64::MAX], &[f64::MAX]);
        assert_eq!(gains, Gains::new(1));
        gains.learn(0, &[0.0], &[f64::MAX]);
        assert_eq!(gains.at_the_top(0, &[f64::MAX]), [f64::MAX]);
    }
}
