//! The multivariate tree-structured Parzen estimator (Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011;
//! Falkner, Klein and Hutter, "BOHB", 2018).

use lapidary_core::rng::Rng;

use super::{Member, View};
use crate::place::{Place, reflect};

/// Candidates of which the most promising is proposed.
const DRAWS: usize = 16;
/// Entries before there are two groups.
const LEAST: usize = 20;
/// Most entries of the good and of the poor group.
const GOOD: usize = 20;
const POOR: usize = 60;

/// Keeps nothing.
#[derive(Debug, Clone, Default)]
pub struct Tpe;

/// A mixture of kernels, one for each entry of a group.
struct Density<'a> {
    view: &'a View<'a>,
    centres: Vec<&'a Place>,
    /// Kernel widths by axis.
    widths: Vec<f64>,
    /// Probability of another option than the kernel's.
    stray: f64,
}

impl Member for Tpe {
    /// Draws from the density of the good entries; the draw where it is largest against that of the poor ones.
    fn propose(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<Place> {
        let entries = view.archive.entries();
        if entries.len() < LEAST {
            return None;
        }
        let (good, rest) = entries.split_at((entries.len() / 7).clamp(3, GOOD));
        // An even sample of the poorer ones, and what failed.
        let n = POOR.min(rest.len());
        let poor = (0..n).map(|k| &rest[k * rest.len() / n].place);
        let good = Density::new(view, good.iter().map(|e| &e.place).collect());
        let poor = Density::new(view, poor.chain(view.archive.failed()).collect());
        let mut best: Option<(f64, Place)> = None;
        for _ in 0..DRAWS {
            let place = good.draw(rng);
            let ratio = good.log(&place) - poor.log(&place);
            if best.as_ref().is_none_or(|(b, _)| ratio > *b) {
                best = Some((ratio, place));
            }
        }
        best.map(|(_, place)| place)
    }
}

impl<'a> Density<'a> {
    fn new(view: &'a View<'a>, centres: Vec<&'a Place>) -> Self {
        let widths = (0..view.space.axes().len())
            .map(|a| {
                let values = || centres.iter().map(|c| c[a]).filter(|v| !v.is_nan());
                let m = values().count().max(1) as f64;
                let mean = values().sum::<f64>() / m;
                let deviation = (values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / m).sqrt();
                // Scott's rule, within bounds.
                (1.06 * deviation * libm::pow(m, -0.2)).clamp(0.5 / (1.0 + m * m), 0.3)
            })
            .collect();
        let stray = 1.0 / (1.0 + centres.len() as f64).sqrt();
        Self {
            view,
            centres,
            widths,
            stray,
        }
    }

    fn options(&self, axis: usize) -> u64 {
        self.view.space.axes()[axis]
            .domain
            .cardinality()
            .unwrap_or(1)
    }

    fn draw(&self, rng: &mut Rng) -> Place {
        let mut place = self.centres[rng.index(self.centres.len())].clone();
        for &a in self.view.numbers {
            if !place[a].is_nan() {
                place[a] = reflect(place[a] + self.widths[a] * rng.normal());
            }
        }
        for &a in self.view.choices {
            if !place[a].is_nan() && rng.chance(self.stray) {
                place[a] = rng.below(self.options(a)) as f64;
            }
        }
        place
    }

    /// Logarithm of the density, up to a constant.
    fn log(&self, at: &Place) -> f64 {
        let logs: Vec<f64> = self
            .centres
            .iter()
            .map(|centre| self.kernel(centre, at))
            .collect();
        let top = logs.iter().copied().fold(-1e4, f64::max);
        // A broad floor, so that the ratio stays finite far from all entries.
        let floor = 1e-3 * libm::exp((-5.0 - top).min(0.0));
        let sum = logs.iter().map(|l| libm::exp(l - top)).sum::<f64>() + floor;
        top + libm::log(sum / logs.len().max(1) as f64)
    }

    fn kernel(&self, centre: &Place, at: &Place) -> f64 {
        let mut log = 0.0;
        for &a in self.view.numbers {
            match (centre[a].is_nan(), at[a].is_nan()) {
                (false, false) => {
                    let z = (at[a] - centre[a]) / self.widths[a];
                    log -= 0.5 * z * z + libm::log(self.widths[a]);
                }
                (true, true) => {}
                // Active in one of the two only.
                _ => log -= 3.0,
            }
        }
        for &a in self.view.choices {
            if at[a].is_nan() && centre[a].is_nan() {
                continue;
            }
            let other = self.stray / self.options(a) as f64;
            log += libm::log(if at[a] == centre[a] {
                1.0 - self.stray + other
            } else {
                other
            });
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Study, space};
    use super::*;

    #[test]
    fn proposals_gather_where_the_good_entries_are() {
        let f = |x: &[f64]| Some((x[0] - 0.3).abs() + if x[1] == 2.0 { 0.0 } else { 1.0 });
        let mut study = Study::new(space(1, &[4]), &[0.9, 0.0], f);
        (0..80).for_each(|_| study.sample());
        let mut near = 0;
        for _ in 0..40 {
            let place = study.proposal(&mut Tpe).unwrap();
            near += usize::from((place[0] - 0.3).abs() < 0.25 && place[1] == 2.0);
            study.sample();
        }
        assert!(near > 30, "{near}");
    }

    #[test]
    fn proposals_stay_away_from_where_trials_failed() {
        // Lower is better down to a cliff at 0.3, below which all trials fail.
        let low = |fails: bool| {
            let f = move |x: &[f64]| (x[0] > 0.3 || !fails).then_some(x[0].max(0.3));
            let mut study = Study::new(space(1, &[]), &[0.9], f);
            (0..60).for_each(|_| study.sample());
            let below = |_| {
                let place = study.proposal(&mut Tpe).unwrap();
                study.sample();
                usize::from(place[0] < 0.28)
            };
            (0..40).map(below).sum::<usize>()
        };
        assert!(low(true) * 3 < low(false), "{} {}", low(true), low(false));
    }
}
