//! Search along one axis at a time: a bracket and the parabola through it (Brent, "Algorithms for Minimization Without
//! Derivatives", 1973), or a scan of the whole axis first, which leaves local minima. A choice goes through its options.

use lapidary_core::rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Lesson, Member, View};
use crate::place::Place;

/// Places of a scan, one in each equal part of the axis.
const SCAN: usize = 7;
/// First half-width of a bracket.
const FIRST_STEP: f64 = 0.2;
const SMALLEST_STEP: f64 = 1e-9;
/// Options of a choice looked at in one visit.
const OPTIONS: usize = 12;

/// Goes through the axes in a shuffled order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    scan: bool,
    /// Axes still to visit in this round, the next last.
    order: Vec<usize>,
    /// Half-widths of the brackets by axis.
    steps: Vec<f64>,
    sweep: Option<Sweep>,
}

/// Work on one axis.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sweep {
    /// Number of the base it goes through.
    base: u64,
    axis: usize,
    /// Where the base stood when it began.
    from: f64,
    /// Places to look at, the next last.
    queue: Vec<f64>,
    /// Proposals whose outcome is not known yet.
    waiting: u32,
    /// Places on the line with their merits.
    known: Vec<(f64, f64)>,
    refinements: u32,
}

impl Line {
    /// Brackets around the base.
    pub fn bracketing(axes: usize) -> Self {
        Self {
            scan: false,
            order: Vec::new(),
            steps: vec![FIRST_STEP; axes],
            sweep: None,
        }
    }

    /// Scans of whole axes.
    pub fn scanning(axes: usize) -> Self {
        Self {
            scan: true,
            ..Self::bracketing(axes)
        }
    }

    /// Whether the state is one of a space of so many axes.
    pub fn is_sound(&self, axes: usize) -> bool {
        let sweeps = self
            .sweep
            .as_ref()
            .is_none_or(|s| s.axis < axes && !s.known.is_empty());
        sweeps && self.steps.len() == axes && self.order.iter().all(|&i| i < axes)
    }

    /// Begins on the next axis; `None` where there is none to begin on.
    fn begin(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<Sweep> {
        let place = &view.base.entry.place;
        let axes = view.space.axes();
        if self.order.is_empty() {
            let movable = |&i: &usize| axes[i].domain.cardinality() != Some(1);
            self.order = (0..place.len()).filter(movable).collect();
            rng.shuffle(&mut self.order);
        }
        let axis = loop {
            let axis = self.order.pop()?;
            if !place[axis].is_nan() {
                break axis;
            }
        };
        let domain = &axes[axis].domain;
        let u = place[axis];
        let mut queue = Vec::new();
        if domain.is_choice() {
            let n = domain.cardinality().unwrap_or(1);
            queue.extend((0..n).map(|i| i as f64).filter(|&i| i != u));
            rng.shuffle(&mut queue);
            queue.truncate(OPTIONS);
        } else if self.scan {
            queue.extend((0..SCAN).map(|k| (k as f64 + rng.unit()) / SCAN as f64));
            rng.shuffle(&mut queue);
        } else {
            let least = domain.cardinality().map_or(0.0, |n| 1.0 / n as f64);
            let h = self.steps[axis].max(least);
            let side = if rng.chance(0.5) { h } else { -h };
            for v in [u - side, u + side] {
                // Both on the free side, where the base is near a bound.
                let inner = if v < 0.0 { u + 0.5 * h } else { u - 0.5 * h };
                let inside = (0.0..=1.0).contains(&v);
                queue.push(if inside { v } else { inner.clamp(0.0, 1.0) });
            }
        }
        Some(Sweep {
            base: view.base.number,
            axis,
            from: u,
            queue,
            waiting: 0,
            known: vec![(u, view.archive.merit(&view.base.entry))],
            refinements: 0,
        })
    }
}

impl Member for Line {
    fn propose(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<Place> {
        let base = &view.base.entry.place;
        for _ in 0..4 * base.len() + 8 {
            let running = self
                .sweep
                .take()
                .filter(|s| s.base == view.base.number && !base[s.axis].is_nan());
            let mut sweep = match running {
                Some(sweep) => sweep,
                None => self.begin(view, rng)?,
            };
            let axis = sweep.axis;
            let is_choice = view.space.axes()[axis].domain.is_choice();
            if let Some(u) = sweep.queue.pop() {
                let mut place = base.clone();
                place[axis] = u;
                let place = Place::of(&place.point(view.space, rng));
                match view.archive.find(&place) {
                    Some(entry) => {
                        if !is_choice {
                            sweep.known.push((place[axis], view.archive.merit(entry)));
                        }
                        self.sweep = Some(sweep);
                    }
                    None => {
                        sweep.waiting += 1;
                        self.sweep = Some(sweep);
                        return Some(place);
                    }
                }
            } else if sweep.waiting > 0 {
                self.sweep = Some(sweep);
                return None;
            } else if !is_choice && sweep.refine(self.scan, self.steps[axis]) {
                self.sweep = Some(sweep);
            } else {
                // The axis is done: the next bracket is as wide as this one moved.
                let moved = (base[axis] - sweep.from).abs();
                let step = &mut self.steps[axis];
                let next = if moved > 0.0 {
                    moved.clamp(*step * 0.1, 0.25)
                } else {
                    *step * 0.25
                };
                *step = next.max(SMALLEST_STEP);
            }
        }
        None
    }

    fn learn(&mut self, lesson: &Lesson<'_>) {
        let Some(sweep) = self.sweep.as_mut().filter(|s| s.base == lesson.from) else {
            return;
        };
        sweep.waiting = sweep.waiting.saturating_sub(1);
        if let Some(entry) = lesson.entry {
            sweep
                .known
                .push((lesson.place[sweep.axis], lesson.archive.merit(entry)));
        }
        if lesson.improved {
            sweep.base = lesson.base;
        }
    }

    fn refused(&mut self) {
        if let Some(sweep) = &mut self.sweep {
            sweep.waiting = sweep.waiting.saturating_sub(1);
        }
    }

    fn restart(&mut self) {
        let axes = self.steps.len();
        *self = if self.scan {
            Self::scanning(axes)
        } else {
            Self::bracketing(axes)
        };
    }
}

impl Sweep {
    /// Queues the next place to look at; false when the axis is done.
    fn refine(&mut self, scan: bool, step: f64) -> bool {
        self.refinements = self.refinements.saturating_add(1);
        self.known.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.known.dedup_by(|a, b| a.0 == b.0);
        let merits = |&a: &usize, &b: &usize| self.known[a].1.total_cmp(&self.known[b].1);
        let Some(best) = (0..self.known.len()).min_by(merits) else {
            return false;
        };
        let u = self.known[best].0;
        if scan && self.refinements == 1 {
            let h = 0.25 / SCAN as f64;
            let sides = [u - h, u + h];
            self.queue
                .extend(sides.into_iter().filter(|v| (0.0..=1.0).contains(v)));
            return true;
        }
        if self.refinements > if scan { 4 } else { 2 } || self.known.len() < 2 {
            return false;
        }
        if best == 0 || best + 1 == self.known.len() {
            // The best is at the end of what is known: go further, twice as far.
            let inner = self.known[if best == 0 { 1 } else { best - 1 }].0;
            let v = (u + 2.0 * (u - inner)).clamp(0.0, 1.0);
            if v == u {
                return false;
            }
            self.queue.push(v);
            return true;
        }
        let (a, b, c) = (self.known[best - 1], self.known[best], self.known[best + 1]);
        let (p, q) = ((b.0 - a.0) * (b.1 - c.1), (b.0 - c.0) * (b.1 - a.1));
        let v = b.0 - 0.5 * ((b.0 - a.0) * p - (b.0 - c.0) * q) / (p - q);
        if !(v > a.0 && v < c.0) || (v - b.0).abs() < 1e-6 * step.min(c.0 - a.0) {
            return false;
        }
        self.queue.push(v);
        true
    }
}
