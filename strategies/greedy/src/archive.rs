//! The best points so far.

use lapidary_core::rank;
use lapidary_core::rng::Rng;
use lapidary_core::trial::Score;
use serde::{Deserialize, Serialize};

use crate::judge::Judge;
use crate::moves::Values;

/// Non-dominated points kept, the least crowded.
const MOST: usize = 200;

/// The best so far; with several objectives, all that none beats.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Archive(Vec<Known>);

/// A point with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    pub values: Values,
    pub score: Score,
}

impl Archive {
    pub fn known(&self) -> &[Known] {
        &self.0
    }

    /// The best; with several objectives, as the judge joins them.
    pub fn best(&self, judge: &Judge) -> Option<&Known> {
        let known = self.0.iter();
        known.min_by(|a, b| judge.compare(&a.score, &b.score))
    }

    /// A judge that joins `objectives` by weights drawn from `rng`.
    pub fn judge(&self, objectives: usize, mut rng: Rng) -> Judge {
        let scale = |m: usize| {
            let values = self.0.iter().map(|k| k.score.objectives[m]);
            let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
                (l.min(v), h.max(v))
            });
            let weight = -libm::log(1.0 - rng.unit());
            // Half a weight for each half of the span, which may exceed the largest float.
            let span = (high / 2.0 - low / 2.0).max(f64::MIN_POSITIVE);
            (low, weight / 2.0 / span)
        };
        Judge {
            scales: (0..objectives)
                .filter(|_| objectives > 1)
                .map(scale)
                .collect(),
        }
    }

    /// Keeps a scored point where no other beats it.
    pub fn keep(&mut self, values: &Values, score: &Score) {
        let one = score.objectives.len() == 1;
        let stays = |a: &Score, b: &Score| {
            if one {
                rank::compare(a, b).is_le()
            } else {
                rank::beats(a, b) || rank::compare(a, b).is_eq()
            }
        };
        if self.0.iter().any(|k| stays(&k.score, score)) {
            return;
        }
        self.0.retain(|k| !(one || rank::beats(score, &k.score)));
        self.0.push(Known {
            values: values.clone(),
            score: score.clone(),
        });
        if self.0.len() > MOST {
            let scores: Vec<&Score> = self.0.iter().map(|k| &k.score).collect();
            let crowding = rank::crowding(&scores);
            let least = (0..self.0.len()).min_by(|a, b| crowding[*a].total_cmp(&crowding[*b]));
            self.0.remove(least.expect("it is not empty"));
        }
    }
}
