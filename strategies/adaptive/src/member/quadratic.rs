//! A quadratic model of the nearest entries, minimised within a trust region (in the spirit of Powell, "The NEWUOA Software
//! for Unconstrained Optimization without Derivatives", 2006), fitted by ridge regression.

use lapidary_core::rng::Rng;
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::{Lesson, Member, View};
use crate::entry::Entry;
use crate::place::{Place, same};

const FIRST_RADIUS: f64 = 0.2;
const RADII: (f64, f64) = (1e-9, 0.5);
/// Above this many numbers only the diagonal of the curvature is fitted.
const FULL: usize = 16;
/// Most entries a model is fitted to.
const ROWS: usize = 256;

/// The trust region, and what the last model promised.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quadratic {
    radius: f64,
    /// Merit of the base and the promised decrease, while the outcome of a proposal is awaited.
    promise: Option<(f64, f64)>,
}

/// gᵀz + zᵀHz/2, with z the distance from the base in units of `scale`.
struct Model {
    axes: Vec<usize>,
    gradient: Vec<f64>,
    /// Row by row; its diagonal alone above [`FULL`] numbers.
    hessian: Vec<f64>,
    scale: f64,
    /// What one unit of the model is worth.
    spread: f64,
}

impl Default for Quadratic {
    fn default() -> Self {
        Self {
            radius: FIRST_RADIUS,
            promise: None,
        }
    }
}

impl Quadratic {
    fn shrink(&mut self) {
        self.radius = (self.radius * 0.5).max(RADII.0);
    }
}

impl Member for Quadratic {
    fn propose(&mut self, view: &View<'_>, _rng: &mut Rng) -> Option<Place> {
        if self.promise.is_some() {
            return None;
        }
        let model = Model::fit(view, self.radius)?;
        let base = &view.base.place;
        let reach = |&axis: &usize| {
            let (low, high) = (
                (-base[axis]).max(-self.radius),
                (1.0 - base[axis]).min(self.radius),
            );
            (low / model.scale, high / model.scale)
        };
        let bounds: Vec<(f64, f64)> = model.axes.iter().map(reach).collect();
        let z = model.minimise(&bounds);
        let decrease = -model.value(&z) * model.spread;
        let mut place = base.clone();
        for (&axis, step) in model.axes.iter().zip(&z) {
            place[axis] = (base[axis] + step * model.scale).clamp(0.0, 1.0);
        }
        if decrease.is_nan() || decrease <= 0.0 || place == *base {
            self.shrink();
            return None;
        }
        self.promise = Some((view.archive.merit(view.base), decrease));
        Some(place)
    }

    fn learn(&mut self, lesson: &Lesson<'_>) {
        let Some((before, promised)) = self.promise.take() else {
            return;
        };
        let kept = lesson
            .entry
            .map_or(-1.0, |e| (before - lesson.archive.merit(e)) / promised);
        if kept > 0.7 {
            self.radius = (self.radius * 2.0).min(RADII.1);
        } else if kept.is_nan() || kept < 0.1 {
            self.shrink();
        }
    }

    fn refused(&mut self, _trial: u64) {
        self.promise = None;
        self.shrink();
    }

    fn restart(&mut self) {
        *self = Self::default();
    }
}

impl Model {
    /// The model of the entries nearest to the base that share its choices; `None` where they are too few.
    fn fit(view: &View<'_>, radius: f64) -> Option<Self> {
        let base = &view.base.place;
        let wide = |&i: &usize| {
            !base[i].is_nan()
                && view.space.axes()[i]
                    .domain
                    .cardinality()
                    .is_none_or(|n| n > 2)
        };
        let axes: Vec<usize> = view.numbers.iter().copied().filter(wide).collect();
        let d = axes.len();
        let feasible = view.archive.is_feasible();
        if d == 0 {
            return None;
        }
        let coefficients = d + if d <= FULL { d * (d + 1) / 2 } else { d };
        let usable = |e: &&Entry| {
            view.choices.iter().all(|&c| same(e.place[c], base[c]))
                && axes.iter().all(|&a| !e.place[a].is_nan())
                && !(feasible && e.score.violation > 0.0)
        };
        let distance = |e: &Entry| -> f64 {
            axes.iter()
                .map(|&a| (e.place[a] - base[a]) * (e.place[a] - base[a]))
                .sum()
        };
        let entries = view.archive.entries().iter();
        let mut near: Vec<(f64, &Entry)> =
            entries.filter(usable).map(|e| (distance(e), e)).collect();
        if near.len() < d + 2 {
            return None;
        }
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        near.truncate((coefficients * 3 / 2 + 4).min(ROWS));
        let reach = near[near.len() - 1].0.sqrt().max(1e-12);
        let scale = radius.max(reach / (d as f64).sqrt());
        let level = view.archive.merit(view.base);
        let rises: Vec<f64> = near
            .iter()
            .map(|(_, e)| view.archive.merit(e) - level)
            .collect();
        let spread = rises.iter().fold(1e-300, |most: f64, r| most.max(r.abs()));
        if !spread.is_finite() {
            return None;
        }
        let mut a = DMatrix::<f64>::zeros(near.len(), coefficients);
        let mut y = DVector::<f64>::zeros(near.len());
        for (r, (distance, entry)) in near.iter().enumerate() {
            let weight = 1.0 / (1.0 + distance / (radius * radius));
            let z: Vec<f64> = axes
                .iter()
                .map(|&x| (entry.place[x] - base[x]) / scale)
                .collect();
            for (c, term) in terms(&z).enumerate() {
                a[(r, c)] = weight * term;
            }
            y[r] = weight * rises[r] / spread;
        }
        let solution = ridge(&a, &y)?;
        let (gradient, curvature) = solution.as_slice().split_at(d);
        let mut hessian = curvature.to_vec();
        if d <= FULL {
            let mut rest = curvature.iter();
            hessian = vec![0.0; d * d];
            for k in 0..d {
                for l in k..d {
                    let h = *rest.next()?;
                    hessian[k * d + l] = h;
                    hessian[l * d + k] = h;
                }
            }
        }
        Some(Self {
            axes,
            gradient: gradient.to_vec(),
            hessian,
            scale,
            spread,
        })
    }

    /// Row `k` of H times z, without the diagonal's term.
    fn pull(&self, k: usize, z: &[f64]) -> f64 {
        let d = z.len();
        if d > FULL {
            return 0.0;
        }
        let row = &self.hessian[k * d..(k + 1) * d];
        let others = (0..d).filter(|&l| l != k);
        others.map(|l| row[l] * z[l]).sum()
    }

    fn curve(&self, k: usize) -> f64 {
        let d = self.axes.len();
        self.hessian[if d > FULL { k } else { k * d + k }]
    }

    fn value(&self, z: &[f64]) -> f64 {
        (0..z.len())
            .map(|k| z[k] * (self.gradient[k] + 0.5 * (self.pull(k, z) + self.curve(k) * z[k])))
            .sum()
    }

    /// The minimum in a box, by coordinate descent.
    fn minimise(&self, bounds: &[(f64, f64)]) -> Vec<f64> {
        let d = bounds.len();
        let mut z = vec![0.0; d];
        for _ in 0..60 {
            let mut change: f64 = 0.0;
            for k in 0..d {
                let slope = self.gradient[k] + self.pull(k, &z);
                let curve = self.curve(k);
                let (low, high) = bounds[k];
                let value = |v: f64| slope * v + 0.5 * curve * v * v;
                let new = if curve > 1e-14 {
                    (-slope / curve).clamp(low, high)
                } else if value(low) < value(high) {
                    low
                } else {
                    high
                };
                change = change.max((new - z[k]).abs());
                z[k] = new;
            }
            if change < 1e-14 {
                break;
            }
        }
        z
    }
}

/// The terms of a quadratic: z, then z_k²/2 and z_k·z_l with k < l (squares alone above [`FULL`] numbers).
fn terms(z: &[f64]) -> impl Iterator<Item = f64> {
    let most = if z.len() > FULL { 1 } else { z.len() };
    let products = (0..z.len()).flat_map(move |k| {
        (k..z.len().min(k + most)).map(move |l| {
            if k == l {
                0.5 * z[k] * z[k]
            } else {
                z[k] * z[l]
            }
        })
    });
    z.iter().copied().chain(products)
}

/// Least squares with a small penalty, solved on the smaller side: the shortest solution where rows are few.
fn ridge(a: &DMatrix<f64>, y: &DVector<f64>) -> Option<DVector<f64>> {
    let (rows, columns) = a.shape();
    let penalised = |mut n: DMatrix<f64>, share: f64| {
        let penalty = share * (n.trace() / n.nrows() as f64).max(1e-300);
        for k in 0..n.nrows() {
            n[(k, k)] += penalty;
        }
        n.cholesky()
    };
    let solution = if rows >= columns {
        penalised(a.transpose() * a, 1e-12)?.solve(&(a.transpose() * y))
    } else {
        a.transpose() * penalised(a * a.transpose(), 1e-10)?.solve(y)
    };
    solution.iter().all(|v| v.is_finite()).then_some(solution)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Study, space};
    use super::*;

    #[test]
    fn one_proposal_finds_the_minimum_of_a_quadratic() {
        let f = |x: &[f64]| {
            let (a, b) = (x[0] - 0.52, x[1] - 0.47);
            Some(3.0 * a * a + 2.0 * a * b + b * b)
        };
        let mut study = Study::new(space(2, &[]), &[0.45, 0.55], f);
        (0..30).for_each(|_| study.sample());
        let mut quadratic = Quadratic::default();
        assert!(study.turn(&mut quadratic));
        let best = &study.base.place;
        assert!(
            (best[0] - 0.52).abs() < 1e-4 && (best[1] - 0.47).abs() < 1e-4,
            "{best:?}"
        );
    }

    #[test]
    fn the_trust_region_grows_with_kept_promises_and_shrinks_with_broken_ones() {
        let mut study = Study::new(space(1, &[]), &[0.9], |x| Some(x[0]));
        (0..8).for_each(|_| study.sample());
        let mut quadratic = Quadratic::default();
        study.turn(&mut quadratic);
        assert!(quadratic.radius >= FIRST_RADIUS);
        quadratic.promise = Some((0.0, 1.0));
        quadratic.refused(0);
        assert!(quadratic.promise.is_none() && quadratic.radius <= FIRST_RADIUS);
    }

    #[test]
    fn ridge_regression_solves_and_shortens() {
        let a = DMatrix::from_row_slice(3, 2, &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        let x = ridge(&a, &DVector::from_vec(vec![1.0, 2.0, 3.0])).unwrap();
        assert!((x[0] - 1.0).abs() < 1e-6 && (x[1] - 2.0).abs() < 1e-6);
        // One row, two columns: the shortest solution.
        let a = DMatrix::from_row_slice(1, 2, &[1.0, 1.0]);
        let x = ridge(&a, &DVector::from_vec(vec![2.0])).unwrap();
        assert!((x[0] - 1.0).abs() < 1e-6 && (x[1] - 1.0).abs() < 1e-6);
    }
}
