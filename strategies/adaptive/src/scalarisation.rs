//! How several objectives are seen as one.

use lapidary_core::rank;
use lapidary_core::rng::Rng;
use lapidary_core::trial::Score;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;

/// Share of the plain weighted sum in the loss: makes weakly dominated points worse than those that dominate them.
const AUGMENTED: f64 = 0.05;

/// The augmented Chebyshev scalarisation (Wierzbicki, 1980; Knowles, "ParEGO", 2006): the largest weighted distance from the
/// ideal, in units of the front's extent. One objective is its own loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scalarisation {
    /// By objective, all above 0.
    weights: Vec<f64>,
    ideal: Vec<f64>,
    /// By objective, all above 0.
    extent: Vec<f64>,
}

impl Scalarisation {
    /// An even view of `objectives` that were not seen yet.
    pub fn new(objectives: usize) -> Self {
        Self {
            weights: vec![1.0; objectives],
            ideal: vec![0.0; objectives],
            extent: vec![1.0; objectives],
        }
    }

    /// Number of objectives.
    pub fn objectives(&self) -> usize {
        self.weights.len()
    }

    /// One number to be minimised.
    pub fn loss(&self, objectives: &[f64]) -> f64 {
        if let [only] = objectives {
            return *only;
        }
        let (mut largest, mut sum) = (f64::NEG_INFINITY, 0.0);
        for (m, value) in objectives.iter().enumerate() {
            let term = self.weights[m] * self.normal(m, *value);
            largest = largest.max(term);
            sum += term;
        }
        largest + AUGMENTED * sum
    }

    /// An objective's value in units of the front's extent, 0 at the ideal.
    pub fn normal(&self, objective: usize, value: f64) -> f64 {
        ((value - self.ideal[objective]) / self.extent[objective]).clamp(-1e30, 1e30)
    }

    /// Measures the front anew.
    pub fn fit<'a>(&mut self, front: impl Iterator<Item = &'a [f64]> + Clone) {
        for m in 0..self.objectives() {
            let values = front.clone().map(|o| o[m]);
            let low = values.clone().fold(f64::INFINITY, f64::min);
            let high = values.fold(f64::NEG_INFINITY, f64::max);
            self.ideal[m] = if low.is_finite() { low } else { 0.0 };
            let extent = high - low;
            self.extent[m] = if extent > 0.0 && extent.is_finite() {
                extent
            } else {
                1.0
            };
        }
    }

    /// Looks from the ideal along `direction` (normalised objectives, not negative): the loss is least where the front meets it.
    pub fn aim(&mut self, direction: &[f64]) {
        let inverse: Vec<f64> = direction
            .iter()
            .map(|v| 1.0 / (v.max(0.0) + 1e-3))
            .collect();
        let sum: f64 = inverse.iter().sum();
        self.weights = inverse.iter().map(|v| v / sum).collect();
    }

    /// Turns to another direction: towards a gap in the front, to the end of an objective, or anywhere.
    pub fn turn(&mut self, front: &[Entry], rng: &mut Rng) {
        let m = self.objectives();
        let direction: Vec<f64> = match rng.index(5) {
            0 => {
                let end = rng.index(m);
                (0..m).map(|k| if k == end { 0.0 } else { 1.0 }).collect()
            }
            1 | 2 if !front.is_empty() => self.gap(front, rng),
            _ => (0..m).map(|_| -libm::log(1.0 - rng.unit())).collect(),
        };
        self.aim(&direction);
    }

    /// Normalised objectives of the less crowded of some members of the front.
    fn gap(&self, front: &[Entry], rng: &mut Rng) -> Vec<f64> {
        let scores: Vec<&Score> = front.iter().map(|e| &e.score).collect();
        let crowding = rank::crowding(&scores);
        let drawn: Vec<usize> = (0..5).map(|_| rng.index(front.len())).collect();
        let lonely = drawn
            .iter()
            .copied()
            .max_by(|&a, &b| crowding[a].total_cmp(&crowding[b]));
        let objectives = &scores[lonely.unwrap_or(0)].objectives;
        objectives
            .iter()
            .enumerate()
            .map(|(m, v)| self.normal(m, *v))
            .collect()
    }

    /// Whether it is a view of `objectives` objectives that can be worked with.
    pub fn is_sound(&self, objectives: usize) -> bool {
        let fits = |v: &Vec<f64>| v.len() == objectives && v.iter().all(|x| x.is_finite());
        let positive = |v: &Vec<f64>| v.iter().all(|x| *x > 0.0);
        fits(&self.weights)
            && fits(&self.ideal)
            && fits(&self.extent)
            && positive(&self.weights)
            && positive(&self.extent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_least_where_the_front_meets_the_direction() {
        let mut scalarisation = Scalarisation::new(2);
        let front: Vec<Vec<f64>> = (0..=10)
            .map(|i| vec![f64::from(i), 10.0 * f64::from(10 - i)])
            .collect();
        scalarisation.fit(front.iter().map(Vec::as_slice));
        for (direction, wanted) in [([1.0, 1.0], 5), ([0.0, 1.0], 0), ([3.0, 1.0], 7)] {
            scalarisation.aim(&direction);
            let best = (0..front.len()).min_by(|&a, &b| {
                scalarisation
                    .loss(&front[a])
                    .total_cmp(&scalarisation.loss(&front[b]))
            });
            let best = best.unwrap() as i32;
            assert!((best - wanted).abs() <= 1, "{direction:?} {best}");
        }
        assert!(scalarisation.is_sound(2) && !scalarisation.is_sound(3));
    }

    #[test]
    fn one_objective_is_its_own_loss() {
        assert_eq!(Scalarisation::new(1).loss(&[-3.5]), -3.5);
    }
}
