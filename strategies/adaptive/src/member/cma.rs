//! CMA-ES (Hansen, "The CMA Evolution Strategy: A Tutorial", 2016) on the numbers, with larger populations after each collapse
//! (Auger and Hansen, "IPOP-CMA-ES", 2005); choices follow the base.

use std::cmp::Ordering;

use lapidary_core::rng::Rng;
use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};

use super::{Lesson, Member, View};
use crate::place::{Place, reflect};

const FIRST_SIGMA: f64 = 0.2;
/// Above this many numbers the covariance stays diagonal (Ros and Hansen, "sep-CMA-ES", 2008).
const FULL: usize = 40;
/// Draws before one outside the bounds is reflected.
const DRAWS: usize = 8;
/// Doublings of the population, at most.
const DOUBLINGS: u32 = 3;

/// The distribution and what was drawn from it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cma {
    state: Option<State>,
    restarts: u32,
}

/// Violation and loss; none where the trial failed.
type Standing = Option<(f64, f64)>;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The active numbers it works on.
    axes: Vec<usize>,
    mean: Vec<f64>,
    sigma: f64,
    /// Row by row; its diagonal alone above [`FULL`] numbers.
    covariance: Vec<f64>,
    path_c: Vec<f64>,
    path_s: Vec<f64>,
    lambda: usize,
    generation: u32,
    /// Draws of this generation.
    told: Vec<(Vec<f64>, Standing)>,
    best: Standing,
    /// Generations without a better one.
    since: u32,
    /// What follows from the covariance.
    #[serde(skip)]
    shape: Option<Shape>,
}

/// The covariance taken apart: B·D and B·D⁻¹·Bᵀ, row by row or as diagonals.
#[derive(Debug, Clone)]
struct Shape {
    root: Vec<f64>,
    inverse: Vec<f64>,
    largest: f64,
    smallest: f64,
}

impl Cma {
    /// Whether the state is one of a space of so many axes.
    pub fn is_sound(&self, axes: usize) -> bool {
        self.state.as_ref().is_none_or(|s| {
            let d = s.axes.len();
            let covariance = if d > FULL { d } else { d * d };
            d >= 2
                && s.axes.iter().all(|&a| a < axes)
                && [&s.mean, &s.path_c, &s.path_s].iter().all(|v| v.len() == d)
                && s.covariance.len() == covariance
                && (2..1 << 16).contains(&s.lambda)
                && s.told.len() < s.lambda
                && s.told.iter().all(|(x, _)| x.len() == d)
        })
    }
}

impl Member for Cma {
    fn propose(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<Place> {
        let base = &view.base.place;
        let axes: Vec<usize> = view
            .numbers
            .iter()
            .copied()
            .filter(|&i| !base[i].is_nan())
            .collect();
        if axes.len() < 2 {
            return None;
        }
        if self.state.as_ref().is_none_or(|s| s.axes != axes) {
            let mean = |&i: &usize| {
                if self.restarts == 0 {
                    base[i]
                } else {
                    rng.unit()
                }
            };
            let mean = axes.iter().map(mean).collect();
            self.state = Some(State::new(axes.clone(), mean, self.restarts.min(DOUBLINGS)));
        }
        let mut place = base.clone();
        for _ in 0..DRAWS {
            let Some(draw) = self.state.as_mut()?.draw(rng) else {
                self.state = None;
                return None;
            };
            let mut inside = true;
            for (&a, u) in axes.iter().zip(draw) {
                inside &= (0.0..=1.0).contains(&u);
                place[a] = reflect(u);
            }
            if inside {
                break;
            }
        }
        Some(place)
    }

    fn learn(&mut self, lesson: &Lesson<'_>) {
        let Some(state) = &mut self.state else { return };
        let x: Vec<f64> = state.axes.iter().map(|&a| lesson.place[a]).collect();
        if x.iter().any(|u| u.is_nan()) {
            return;
        }
        state
            .told
            .push((x, lesson.entry.map(|e| (e.score.violation, e.loss))));
        if state.told.len() >= state.lambda && !state.update() {
            self.restarts = self.restarts.saturating_add(1);
            self.state = None;
        }
    }
}

impl State {
    fn new(axes: Vec<usize>, mean: Vec<f64>, doublings: u32) -> Self {
        let d = axes.len();
        let identity = |k: usize| if k / d == k % d { 1.0 } else { 0.0 };
        Self {
            axes,
            mean,
            sigma: FIRST_SIGMA,
            covariance: if d > FULL {
                vec![1.0; d]
            } else {
                (0..d * d).map(identity).collect()
            },
            path_c: vec![0.0; d],
            path_s: vec![0.0; d],
            lambda: (4 + libm::floor(3.0 * libm::log(d as f64)) as usize) << doublings,
            generation: 0,
            told: Vec::new(),
            best: None,
            since: 0,
            shape: None,
        }
    }

    /// The covariance taken apart; `None` where it cannot be.
    fn shape(&mut self) -> Option<&Shape> {
        if self.shape.is_none() {
            self.shape = Some(Shape::of(&self.covariance, self.mean.len())?);
        }
        self.shape.as_ref()
    }

    fn draw(&mut self, rng: &mut Rng) -> Option<Vec<f64>> {
        let d = self.mean.len();
        let z: Vec<f64> = (0..d).map(|_| rng.normal()).collect();
        let y = product(&self.shape()?.root, &z);
        Some((0..d).map(|k| self.mean[k] + self.sigma * y[k]).collect())
    }

    /// Learns a generation; false when the distribution has collapsed or stands still.
    fn update(&mut self) -> bool {
        let d = self.mean.len();
        let n = d as f64;
        self.told.sort_by(|a, b| compare(a.1, b.1));
        let mu = self.lambda / 2;
        let half = self.lambda as f64 / 2.0 + 0.5;
        let raw: Vec<f64> = (0..mu)
            .map(|i| libm::log(half) - libm::log(i as f64 + 1.0))
            .collect();
        let sum: f64 = raw.iter().sum();
        let w: Vec<f64> = raw.iter().map(|r| r / sum).collect();
        let mueff = 1.0 / w.iter().map(|v| v * v).sum::<f64>();
        // Strategy parameters of the tutorial's table 1; sep-CMA-ES learns (n + 2) / 3 times as fast.
        let faster = if d > FULL { (n + 2.0) / 3.0 } else { 1.0 };
        let cc = (4.0 + mueff / n) / (n + 4.0 + 2.0 * mueff / n);
        let cs = (mueff + 2.0) / (n + mueff + 5.0);
        let c1 = (faster * 2.0 / ((n + 1.3) * (n + 1.3) + mueff)).min(0.5);
        let cmu = faster * 2.0 * (mueff - 2.0 + 1.0 / mueff) / ((n + 2.0) * (n + 2.0) + mueff);
        let cmu = cmu.min(1.0 - c1);
        let damps = 1.0 + 2.0 * (((mueff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + cs;
        let chi = n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));

        let told = std::mem::take(&mut self.told);
        let steps: Vec<Vec<f64>> = told[..mu]
            .iter()
            .map(|(x, _)| (0..d).map(|k| (x[k] - self.mean[k]) / self.sigma).collect())
            .collect();
        let step: Vec<f64> = (0..d)
            .map(|k| (0..mu).map(|i| w[i] * steps[i][k]).sum())
            .collect();
        for (mean, step) in self.mean.iter_mut().zip(&step) {
            *mean = (*mean + self.sigma * step).clamp(0.0, 1.0);
        }
        let Some(shape) = self.shape() else {
            return false;
        };
        let whitened = product(&shape.inverse, &step);
        follow(
            &mut self.path_s,
            1.0 - cs,
            (cs * (2.0 - cs) * mueff).sqrt(),
            &whitened,
        );
        let norm = self.path_s.iter().map(|v| v * v).sum::<f64>().sqrt();
        self.generation = self.generation.saturating_add(1);
        let settled = 1.0 - libm::pow(1.0 - cs, 2.0 * f64::from(self.generation));
        let moving = norm / settled.sqrt() / chi < 1.4 + 2.0 / (n + 1.0);
        let pull = if moving {
            (cc * (2.0 - cc) * mueff).sqrt()
        } else {
            0.0
        };
        follow(&mut self.path_c, 1.0 - cc, pull, &step);
        for (index, old) in self.covariance.iter_mut().enumerate() {
            let (k, l) = if d > FULL {
                (index, index)
            } else {
                (index / d, index % d)
            };
            let rank_mu: f64 = (0..mu).map(|i| w[i] * steps[i][k] * steps[i][l]).sum();
            let lost = if moving { 0.0 } else { cc * (2.0 - cc) * *old };
            let rank_one = self.path_c[k] * self.path_c[l] + lost;
            *old = (1.0 - c1 - cmu) * *old + c1 * rank_one + cmu * rank_mu;
        }
        self.sigma *= libm::exp(((cs / damps) * (norm / chi - 1.0)).min(1.0));
        self.shape = None;

        let best = told[0].1;
        if compare(best, self.best).is_lt() {
            self.best = best;
            self.since = 0;
        } else {
            self.since = self.since.saturating_add(1);
        }
        let (sigma, since) = (self.sigma, self.since);
        self.shape().is_some_and(|shape| {
            let alive = (1e-10..1e3).contains(&(sigma * shape.largest))
                && shape.largest < 1e7 * shape.smallest;
            alive && (since as usize) < 20 + 3 * d
        })
    }
}

impl Shape {
    fn of(covariance: &[f64], d: usize) -> Option<Self> {
        if covariance.iter().any(|v| v.is_nan() || v.abs() > 1e100) {
            return None;
        }
        let (root, inverse, values) = if covariance.len() == d {
            let values: Vec<f64> = covariance.iter().map(|v| v.max(1e-20).sqrt()).collect();
            (
                values.clone(),
                values.iter().map(|v| 1.0 / v).collect(),
                values,
            )
        } else {
            let matrix = DMatrix::from_row_slice(d, d, covariance);
            let matrix = (&matrix + matrix.transpose()) * 0.5;
            let eigen = SymmetricEigen::try_new(matrix, f64::EPSILON, 100 * d)?;
            let values = eigen.eigenvalues.map(|v| v.max(1e-20).sqrt());
            let b = eigen.eigenvectors;
            let root = &b * DMatrix::from_diagonal(&values);
            let inverse = &b * DMatrix::from_diagonal(&values.map(|v| 1.0 / v)) * b.transpose();
            let rows = |m: DMatrix<f64>| m.transpose().as_slice().to_vec();
            (rows(root), rows(inverse), values.as_slice().to_vec())
        };
        Some(Self {
            root,
            inverse,
            largest: values.iter().copied().fold(0.0, f64::max),
            smallest: values.iter().copied().fold(f64::INFINITY, f64::min),
        })
    }
}

/// Less violation first, then less loss; what failed comes last.
fn compare(a: Standing, b: Standing) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// path ← keep · path + pull · step.
fn follow(path: &mut [f64], keep: f64, pull: f64, step: &[f64]) {
    for (path, step) in path.iter_mut().zip(step) {
        *path = keep * *path + pull * step;
    }
}

/// A square matrix, row by row or as its diagonal, times a vector.
fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    let d = vector.len();
    if matrix.len() == d {
        return matrix.iter().zip(vector).map(|(m, v)| m * v).collect();
    }
    let row = |row: &[f64]| row.iter().zip(vector).map(|(m, v)| m * v).sum();
    matrix.chunks(d).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Study, space};
    use super::*;

    #[test]
    fn an_ill_conditioned_quadratic_is_descended_to_the_bottom() {
        // One direction is a thousand times as steep as the other, and neither is an axis's.
        let f = |x: &[f64]| {
            let (a, b) = (x[0] + x[1] - 1.1, x[0] - x[1] - 0.2);
            Some(a * a + 1e6 * b * b)
        };
        let mut study = Study::new(space(2, &[]), &[0.2, 0.9], f);
        let mut cma = Cma::default();
        for _ in 0..900 {
            study.turn(&mut cma);
        }
        assert!(study.base.loss < 1e-8, "{}", study.base.loss);
    }

    #[test]
    fn the_covariance_taken_apart_is_the_covariance() {
        let covariance = [4.0, 1.0, 1.0, 2.0];
        let shape = Shape::of(&covariance, 2).unwrap();
        let rows: Vec<&[f64]> = shape.root.chunks(2).collect();
        for (i, wanted) in covariance.iter().enumerate() {
            let (a, b) = (rows[i / 2], rows[i % 2]);
            assert!((a[0] * b[0] + a[1] * b[1] - wanted).abs() < 1e-12);
        }
        // The inverse root, squared, times the covariance is the identity.
        let whitened = product(&shape.inverse, &product(&shape.inverse, &[4.0, 1.0]));
        assert!((whitened[0] - 1.0).abs() < 1e-12 && whitened[1].abs() < 1e-12);
        assert!(Shape::of(&[f64::NAN; 4], 2).is_none());
    }

    #[test]
    fn what_failed_comes_last() {
        assert!(compare(Some((0.0, 1e9)), None).is_lt());
        assert!(compare(Some((0.0, 2.0)), Some((0.1, 1.0))).is_lt());
        assert!(compare(None, None).is_eq());
    }
}
