//! The (1+1) evolution strategy with step-size adaptation by the one-fifth rule (Rechenberg, "Evolutionsstrategie", 1973).

use lapidary_core::rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Lesson, Member, View};
use crate::place::{Place, other_option, reflect};

/// Factor of the step after a success; its fourth root undoes it after a failure, which balances at one success in five.
const GROWTH: f64 = 1.5;
/// Probability that a choice changes, times the number of axes.
const CHANGES: f64 = 0.3;

/// A random step from the base in all numbers at once, and now and then in a choice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    sigma: f64,
}

impl Default for Step {
    fn default() -> Self {
        Self { sigma: 0.1 }
    }
}

impl Member for Step {
    fn propose(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<Place> {
        if view.numbers.is_empty() {
            return None;
        }
        let mut place = view.base.place.clone();
        for &i in view.numbers {
            if !place[i].is_nan() {
                place[i] = reflect(place[i] + self.sigma * rng.normal());
            }
        }
        let rate = CHANGES / place.len() as f64;
        for &i in view.choices {
            if rng.chance(rate) {
                place[i] = other_option(view.space, i, place[i], rng);
            }
        }
        Some(place)
    }

    fn learn(&mut self, lesson: &Lesson<'_>) {
        let factor = if lesson.improved {
            GROWTH
        } else {
            libm::pow(GROWTH, -0.25)
        };
        self.sigma = (self.sigma * factor).clamp(1e-9, 0.4);
    }

    fn restart(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Study, space};
    use super::*;

    #[test]
    fn steps_follow_the_one_fifth_rule() {
        let mut study = Study::new(space(3, &[]), &[0.9; 3], |x| {
            Some(x.iter().map(|u| u * u).sum())
        });
        let mut step = Step::default();
        for _ in 0..300 {
            study.turn(&mut step);
        }
        assert!(study.base.loss < 1e-6, "{}", study.base.loss);
        assert!(step.sigma < 1e-2);
    }
}
