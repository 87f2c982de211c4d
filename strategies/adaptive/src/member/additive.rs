//! Thompson sampling (Thompson, 1933) of an additive Gaussian process: a function of each axis by itself (Duvenaud, Nickisch
//! and Rasmussen, "Additive Gaussian Processes", 2011). Every axis goes where its function is lowest on average, but one, which
//! goes where a draw of its function, one that the entries allow, is lowest. Draws differ, so open trials look at different
//! places (Kandasamy et al., "Parallelised Bayesian Optimisation via Thompson Sampling", 2018).
//!
//! Numbers have the Matérn-3/2 covariance. A draw of it along an axis is a Markov process (Hartikainen and Särkkä, "Kalman
//! Filtering and Smoothing Solutions to Temporal Gaussian Process Regression Models", 2010); it is bent to the entries by
//! Matheron's rule (Wilson et al., "Efficiently Sampling Functions from Gaussian Process Posteriors", 2020).

use lapidary_core::rng::Rng;
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use serde::{Deserialize, Serialize};

use super::{Member, View};
use crate::entry::Entry;
use crate::place::{Place, reflect};

/// Entries before there is a model.
const LEAST: usize = 8;
/// Most entries a model is fitted to: the best, and an even sample of the others.
const BEST: usize = 64;
const OTHERS: usize = 32;
/// Length scales and shares of noise that are possible.
const LENGTHS: [f64; 4] = [0.05, 0.15, 0.5, 1.5];
const NOISES: [f64; 4] = [0.001, 0.01, 0.1, 0.5];
/// Merits that are worse than the best by more than this, in units of the better three quarters' extent, are just bad.
const BAD: f64 = 2.0;
/// Places on an axis where a function is looked at: evenly spread, near the base, and those of the best entries.
const SPREAD: usize = 16;
const NEAR: usize = 8;
const SEEN: usize = 8;

/// The length scale and the noise that are thought of now, by their indices: a walk through what the entries make likely
/// (Metropolis et al., 1953), a step for each proposal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Additive {
    length: usize,
    noise: usize,
}

impl Default for Additive {
    fn default() -> Self {
        Self {
            length: 2,
            noise: 1,
        }
    }
}

impl Additive {
    /// Whether the state is one of such a member.
    pub fn is_sound(&self) -> bool {
        self.length < LENGTHS.len() && self.noise < NOISES.len()
    }

    /// The same or a neighbour.
    fn step(&self, rng: &mut Rng) -> Self {
        let mut step = |at: usize, n: usize| match rng.index(3) {
            0 => at.saturating_sub(1),
            1 => (at + 1).min(n - 1),
            _ => at,
        };
        Self {
            length: step(self.length, LENGTHS.len()),
            noise: step(self.noise, NOISES.len()),
        }
    }
}

impl Member for Additive {
    fn propose(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<Place> {
        let rows = Rows::of(view)?;
        let mut model = rows.model(self)?;
        let other = self.step(rng);
        if let Some(next) = rows.model(&other)
            && libm::log(1.0 - rng.unit()) < next.evidence - model.evidence
        {
            *self = other;
            model = next;
        }
        Some(rows.lowest(&model, rng))
    }
}

/// What a model is fitted to.
struct Rows<'a> {
    view: &'a View<'a>,
    places: Vec<&'a Place>,
    /// Merits with mean 0 and deviation 1.
    merits: DVector<f64>,
    /// Variance of each axis's function.
    share: f64,
}

/// The covariance of the rows.
struct Model {
    noise: f64,
    /// Inverse length scale.
    rate: f64,
    factor: Cholesky<f64, Dyn>,
    /// Logarithm of the merits' density, up to a constant.
    evidence: f64,
}

impl<'a> Rows<'a> {
    /// The rows of an archive; `None` where they are too few or all alike.
    fn of(view: &'a View<'a>) -> Option<Self> {
        let entries = view.archive.entries();
        if entries.len() < LEAST {
            return None;
        }
        let (best, rest) = entries.split_at(entries.len().min(BEST));
        let n = OTHERS.min(rest.len());
        let others = (0..n).map(|k| &rest[k * rest.len() / n]);
        let chosen: Vec<&Entry> = best.iter().chain(others).collect();
        let mut merits: Vec<f64> = chosen.iter().map(|e| view.archive.merit(e)).collect();
        let failed = view.archive.failed();
        merits.extend(failed.iter().map(|_| f64::INFINITY));
        let places = chosen.iter().map(|e| &e.place).chain(failed).collect();
        Some(Self {
            view,
            places,
            merits: standardised(&merits)?,
            share: 1.0 / view.space.axes().len() as f64,
        })
    }

    fn is_choice(&self, axis: usize) -> bool {
        self.view.space.axes()[axis].domain.is_choice()
    }

    /// Where the rows stand on an axis.
    fn marks(&self, axis: usize, rate: f64) -> Vec<Mark> {
        let choice = self.is_choice(axis);
        let mark = |p: &&Place| Mark::of(p[axis], choice, rate);
        self.places.iter().map(mark).collect()
    }

    fn model(&self, thought: &Additive) -> Option<Model> {
        let n = self.places.len();
        let (noise, rate) = (NOISES[thought.noise], 3f64.sqrt() / LENGTHS[thought.length]);
        // The level that all share has variance 1.
        let mut covariance = DMatrix::from_element(n, n, 1.0);
        for axis in 0..self.view.space.axes().len() {
            let marks = self.marks(axis, rate);
            for i in 0..n {
                for j in 0..=i {
                    covariance[(i, j)] += self.share * marks[i].covariance(marks[j]);
                }
            }
        }
        for i in 0..n {
            covariance[(i, i)] += noise;
        }
        let factor = Cholesky::new(covariance)?;
        let logs = (0..n).map(|i| libm::log(factor.l_dirty()[(i, i)]));
        let evidence = -0.5 * self.merits.dot(&factor.solve(&self.merits)) - logs.sum::<f64>();
        evidence.is_finite().then_some(Model {
            noise,
            rate,
            factor,
            evidence,
        })
    }

    /// Where the functions are lowest, one of them drawn.
    fn lowest(&self, model: &Model, rng: &mut Rng) -> Place {
        let n = self.places.len();
        let mut place = self.view.base.place.clone();
        let drawn = rng.index(place.len());
        let level = rng.normal();
        let spread = model.noise.sqrt();
        let mut rest = self.merits.clone();
        for value in rest.iter_mut() {
            *value -= level + spread * rng.normal();
        }
        let mut draw = Vec::new();
        for axis in 0..place.len() {
            let looks = if axis == drawn {
                self.looks(axis, rng)
            } else {
                Vec::new()
            };
            let (values, seen) = self.before(axis, model.rate, &looks, rng);
            for i in 0..n {
                rest[i] -= seen[i];
            }
            if axis == drawn {
                draw = looks.into_iter().zip(values).collect();
            }
        }
        let mean = model.factor.solve(&self.merits);
        for axis in 0..place.len() {
            let lowest = if axis == drawn {
                let pull = model.factor.solve(&rest);
                self.lowest_on(axis, model.rate, &draw, &pull)
            } else {
                let looks = self.looks(axis, rng).into_iter().map(|u| (u, 0.0));
                self.lowest_on(axis, model.rate, &looks.collect::<Vec<_>>(), &mean)
            };
            if let Some(u) = lowest {
                place[axis] = u;
            }
        }
        place
    }

    /// A draw of an axis's function before the rows are known: at the places looked at, and at the rows'.
    fn before(&self, axis: usize, rate: f64, looks: &[f64], rng: &mut Rng) -> (Vec<f64>, Vec<f64>) {
        let scale = self.share.sqrt();
        let rows = self.places.iter().map(|p| p[axis]);
        if self.is_choice(axis) {
            let options = self.view.space.axes()[axis].domain.cardinality();
            let values: Vec<f64> = (0..options.unwrap_or(1))
                .map(|_| scale * rng.normal())
                .collect();
            let value = |u: f64| if u.is_nan() { 0.0 } else { values[u as usize] };
            return (
                looks.iter().map(|u| value(*u)).collect(),
                rows.map(value).collect(),
            );
        }
        let all: Vec<f64> = looks.iter().copied().chain(rows).collect();
        let mut values = path(&all, rate, rng);
        values.iter_mut().for_each(|v| *v *= scale);
        let seen = values.split_off(looks.len());
        (values, seen)
    }

    /// Of places with values before the rows are known, the one that is lowest after that.
    fn lowest_on(
        &self,
        axis: usize,
        rate: f64,
        looks: &[(f64, f64)],
        pull: &DVector<f64>,
    ) -> Option<f64> {
        let marks = self.marks(axis, rate);
        let value = |&(u, before): &(f64, f64)| {
            let here = Mark::of(u, self.is_choice(axis), rate);
            let pulls = marks.iter().zip(pull.iter());
            let sum: f64 = pulls.map(|(mark, p)| p * here.covariance(*mark)).sum();
            (u, before + self.share * sum)
        };
        let lowest = looks.iter().map(value).min_by(|a, b| a.1.total_cmp(&b.1));
        lowest.map(|(u, _)| u)
    }

    /// Places on an axis where its function is looked at.
    fn looks(&self, axis: usize, rng: &mut Rng) -> Vec<f64> {
        let domain = &self.view.space.axes()[axis].domain;
        match domain.cardinality() {
            Some(n) if domain.is_choice() => return (0..n).map(|o| o as f64).collect(),
            Some(n) if n <= (SPREAD + NEAR) as u64 => {
                return (0..n).map(|r| domain.to_unit(domain.nth(r))).collect();
            }
            _ => {}
        }
        let part = |k: usize, rng: &mut Rng| (k as f64 + rng.unit()) / SPREAD as f64;
        let mut looks: Vec<f64> = (0..SPREAD).map(|k| part(k, rng)).collect();
        let u = self.view.base.place[axis];
        if !u.is_nan() {
            looks.push(u);
            for _ in 0..NEAR {
                // Log-uniform between 1/256 and 1/4 of the axis.
                let size = libm::exp2(-2.0 - 6.0 * rng.unit());
                looks.push(reflect(if rng.chance(0.5) { u + size } else { u - size }));
            }
        }
        let seen = self.places.iter().take(SEEN).map(|p| p[axis]);
        looks.extend(seen.filter(|u| !u.is_nan()));
        looks
    }
}

/// Merits, the best first, with mean 0 and deviation 1; the bad ones, infinite for those that failed, as bad as each other.
/// `None` where all are alike.
fn standardised(merits: &[f64]) -> Option<DVector<f64>> {
    let n = merits.len();
    let scored = merits.iter().filter(|m| m.is_finite()).count();
    let (low, high) = (merits[0], merits[scored * 3 / 4]);
    let unit = if high > low { high - low } else { 1.0 };
    let shares = merits.iter().map(|m| ((m - low) / unit).min(BAD));
    let mut shares = DVector::from_iterator(n, shares);
    let mean = shares.mean();
    shares.add_scalar_mut(-mean);
    let deviation = (shares.norm_squared() / n as f64).sqrt();
    (deviation > 0.0 && deviation.is_finite()).then(|| shares / deviation)
}

/// A place on an axis with what its covariance with others takes, so that those cost no exponential each.
#[derive(Debug, Clone, Copy)]
enum Mark {
    Inactive,
    Option(f64),
    /// The place in units of the rate, and the exponentials of it and of its negative.
    Number(f64, f64, f64),
}

impl Mark {
    fn of(u: f64, is_choice: bool, rate: f64) -> Self {
        if u.is_nan() {
            Self::Inactive
        } else if is_choice {
            Self::Option(u)
        } else {
            let e = libm::exp(rate * u);
            Self::Number(rate * u, e, 1.0 / e)
        }
    }

    /// Covariance of a function of variance 1 at two places of an axis.
    fn covariance(self, other: Self) -> f64 {
        match (self, other) {
            (Self::Option(a), Self::Option(b)) if a == b => 1.0,
            (Self::Number(a, up_a, down_a), Self::Number(b, up_b, down_b)) => {
                (1.0 + (a - b).abs()) * (up_a * down_b).min(down_a * up_b)
            }
            _ => 0.0,
        }
    }
}

/// A draw of the Matérn-3/2 process of variance 1 at some places, in any order; 0 at those that are NaN.
fn path(places: &[f64], rate: f64, rng: &mut Rng) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).filter(|&i| !places[i].is_nan()).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    let mut values = vec![0.0; places.len()];
    // The value and the slope, that in units of the rate, are both of variance 1.
    let (mut value, mut slope) = (rng.normal(), rng.normal());
    let mut at = f64::NAN;
    for i in order {
        if places[i] > at {
            let gap = rate * (places[i] - at);
            let decay = libm::exp(-gap);
            let (keep, gain, turn) = (decay * (1.0 + gap), decay * gap, decay * (1.0 - gap));
            // What is new has the covariance that keeps both variances at 1: its Cholesky factor.
            let a = (1.0 - keep * keep - gain * gain).max(0.0).sqrt();
            let b = (keep - turn) * gain / a.max(f64::MIN_POSITIVE);
            let c = (1.0 - gain * gain - turn * turn - b * b).max(0.0).sqrt();
            let (y, z) = (rng.normal(), rng.normal());
            (value, slope) = (
                keep * value + gain * slope + a * y,
                turn * slope - gain * value + b * y + c * z,
            );
        }
        at = places[i];
        values[i] = value;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_covariance_of_its_marks() {
        let places = [0.7, f64::NAN, 0.1, 0.25, 0.25];
        let rate = 4.0;
        let draws: Vec<Vec<f64>> = (0..40_000)
            .map(|i| path(&places, rate, &mut Rng::keyed(1, i, "path")))
            .collect();
        for (i, u) in places.iter().enumerate() {
            for (j, v) in places.iter().enumerate() {
                let product = draws.iter().map(|d| d[i] * d[j]).sum::<f64>() / draws.len() as f64;
                let (a, b) = (Mark::of(*u, false, rate), Mark::of(*v, false, rate));
                let covariance = a.covariance(b);
                assert!(
                    (product - covariance).abs() < 0.03,
                    "{u} {v}: {product} {covariance}"
                );
            }
        }
    }

    #[test]
    fn bad_merits_are_as_bad_as_each_other() {
        let merits = standardised(&[0.0, 1.0, 1.0, 2.0, 9.0, f64::INFINITY]).unwrap();
        assert!(merits.mean().abs() < 1e-12 && merits[3] < merits[4] && merits[4] == merits[5]);
        assert!((merits.norm_squared() - 6.0).abs() < 1e-9);
        assert_eq!(standardised(&[3.0; 8]), None);
    }
}
