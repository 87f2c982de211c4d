//! Search along one axis at a time: a bracket and the parabola through it (Brent, "Algorithms for Minimization Without
//! Derivatives", 1973), or a scan of the whole axis first, which leaves local minima. A choice goes through its options, once:
//! there is nothing more to scan.
//!
//! What is known of an axis are rises over the base that a place was proposed from. They stay known when the base moves along
//! other axes meanwhile, as if the axes were independent; so several axes can be searched at once, and what was found on one
//! is made once more from a base that has moved on.

use lapidary_core::rng::Rng;
use serde::{Deserialize, Serialize};

use super::{Lesson, Member, View};
use crate::place::Place;

/// Places of a scan, one in each equal part of the axis.
const SCAN: usize = 7;
/// First half-width of a bracket.
const FIRST_STEP: f64 = 0.1;
const SMALLEST_STEP: f64 = 1e-9;
/// Options of a choice looked at in one visit.
const OPTIONS: usize = 12;
/// Axes searched at once while outcomes are awaited.
const SWEEPS: usize = 8;
/// Refinements of a bracket and of a scan; each that gained a tenth of all the gain on its axis is followed by another.
const REFINEMENTS: (u32, u32) = (1, 4);
const MOST_REFINEMENTS: u32 = 8;
/// A gap so many times as wide as the one on the other side of the best is cut by going [`STRIDE`] times the narrower one.
const LOPSIDED: f64 = 6.0;
const STRIDE: f64 = 2.5;

/// Goes through the axes in a shuffled order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSearch {
    scan: bool,
    /// Axes still to visit in this round, the next last.
    order: Vec<usize>,
    /// Half-widths of the brackets by axis.
    steps: Vec<f64>,
    /// Work begun, oldest first, at most one on an axis.
    sweeps: Vec<Sweep>,
}

/// Work on one axis.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sweep {
    axis: usize,
    /// Where the base stood when it began, and where rises are 0.
    from: f64,
    at: f64,
    /// Places to look at, the next last.
    queue: Vec<f64>,
    /// Proposals whose outcome is not known yet: trial and merit of the base.
    open: Vec<(u64, f64)>,
    /// Places on the line and how much worse than the base they are.
    known: Vec<(f64, f64)>,
    refinements: u32,
    /// Refinements that are due.
    due: u32,
    /// Whether its best was made again from a later base.
    carried: bool,
}

impl LineSearch {
    /// Brackets around the base.
    pub fn bracketing(axes: usize) -> Self {
        Self {
            scan: false,
            order: Vec::new(),
            steps: vec![FIRST_STEP; axes],
            sweeps: Vec::new(),
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
        self.sweeps.iter().all(|s| s.axis < axes)
            && self.steps.len() == axes
            && self.order.iter().all(|&i| i < axes)
    }

    /// Begins on the next axis; false where there is none to begin on.
    fn begin(&mut self, view: &View<'_>, rng: &mut Rng) -> bool {
        let place = &view.base.place;
        let axes = view.space.axes();
        if self.sweeps.len() >= SWEEPS {
            return false;
        }
        if self.order.is_empty() {
            let movable = |&i: &usize| {
                let domain = &axes[i].domain;
                domain.cardinality() != Some(1) && !(self.scan && domain.is_choice())
            };
            self.order = (0..place.len()).filter(movable).collect();
            rng.shuffle(&mut self.order);
        }
        let free = |&i: &usize| !place[i].is_nan() && self.sweeps.iter().all(|s| s.axis != i);
        let Some(next) = self.order.iter().rposition(free) else {
            self.order.clear();
            return false;
        };
        let axis = self.order.remove(next);
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
        self.sweeps.push(Sweep {
            axis,
            from: u,
            at: u,
            queue,
            open: Vec::new(),
            known: vec![(u, 0.0)],
            refinements: 0,
            due: if self.scan {
                REFINEMENTS.1
            } else {
                REFINEMENTS.0
            },
            carried: false,
        });
        true
    }

    /// The next place of a sweep that was not looked at.
    fn next(&mut self, sweep: usize, view: &View<'_>, rng: &mut Rng) -> Option<Place> {
        let sweep = &mut self.sweeps[sweep];
        let level = view.archive.merit(view.base);
        while let Some(u) = sweep.queue.pop() {
            let mut place = view.base.place.clone();
            place[sweep.axis] = u;
            let place = Place::of(&place.point(view.space, rng));
            match view.archive.find(&place) {
                Some(entry) => {
                    let rise = view.archive.merit(entry) - level;
                    sweep.note(place[sweep.axis], rise);
                }
                None => {
                    sweep.open.push((view.trial, level));
                    return Some(place);
                }
            }
        }
        None
    }

    /// Takes a sweep that is done away: the next bracket is as wide as this one moved.
    fn end(&mut self, sweep: usize) {
        let sweep = self.sweeps.remove(sweep);
        let moved = (sweep.at - sweep.from).abs();
        let step = &mut self.steps[sweep.axis];
        let next = if moved > 0.0 {
            moved.clamp(*step * 0.1, 0.25)
        } else {
            *step * 0.25
        };
        *step = next.max(SMALLEST_STEP);
    }
}

impl Member for LineSearch {
    fn propose(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<Place> {
        let base = &view.base.place;
        let choice = |axis: usize| view.space.axes()[axis].domain.is_choice();
        self.sweeps
            .retain_mut(|s| s.follow(base[s.axis], choice(s.axis)));
        for _ in 0..4 * base.len() + 8 {
            let mut k = 0;
            while k < self.sweeps.len() {
                if let Some(place) = self.next(k, view, rng) {
                    return Some(place);
                }
                let sweep = &mut self.sweeps[k];
                let step = self.steps[sweep.axis];
                if !sweep.open.is_empty() {
                    k += 1;
                } else if !((!choice(sweep.axis) && sweep.refine(self.scan, step)) || sweep.carry())
                {
                    self.end(k);
                }
            }
            if !self.begin(view, rng) {
                return None;
            }
        }
        None
    }

    fn learn(&mut self, lesson: &Lesson<'_>) {
        for sweep in &mut self.sweeps {
            let Some(open) = sweep.open.iter().position(|o| o.0 == lesson.trial) else {
                continue;
            };
            let (_, level) = sweep.open.remove(open);
            if let Some(entry) = lesson.entry {
                let rise = lesson.archive.merit(entry) - level;
                sweep.note(lesson.place[sweep.axis], rise);
            }
        }
    }

    fn refused(&mut self, trial: u64) {
        for sweep in &mut self.sweeps {
            sweep.open.retain(|o| o.0 != trial);
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
    /// Goes along with the base; false where it has gone where nothing on the line tells of.
    fn follow(&mut self, to: f64, is_choice: bool) -> bool {
        if to == self.at {
            return true;
        }
        if let Some(&(_, rise)) = self.known.iter().find(|k| k.0 == to) {
            self.at = to;
            for known in &mut self.known {
                known.1 -= rise;
            }
            return true;
        }
        // A little aside is as good as there.
        let gaps = self.known.iter().map(|k| (k.0 - self.at).abs());
        let gap = gaps.filter(|g| *g > 0.0).fold(1.0, f64::min);
        if is_choice || to.is_nan() || (to - self.at).abs() > 0.1 * gap {
            return false;
        }
        for known in self.known.iter_mut().filter(|k| k.0 == self.at) {
            known.0 = to;
        }
        self.at = to;
        true
    }

    /// Notes a rise; of several at one place the latest.
    fn note(&mut self, u: f64, rise: f64) {
        if rise.is_nan() || u.is_nan() {
            return;
        }
        match self.known.iter_mut().find(|k| k.0 == u) {
            Some(known) => known.1 = rise,
            None => self.known.push((u, rise)),
        }
    }

    fn best(&self) -> Option<usize> {
        let rises = |&a: &usize, &b: &usize| self.known[a].1.total_cmp(&self.known[b].1);
        (0..self.known.len()).min_by(rises)
    }

    /// Queues the best once more where it was found from another base; false where the base is there.
    fn carry(&mut self) -> bool {
        let Some((u, rise)) = self.best().map(|best| self.known[best]) else {
            return false;
        };
        if self.carried || u == self.at || rise >= 0.0 {
            return false;
        }
        self.carried = true;
        self.queue.push(u);
        true
    }

    /// Queues the next place to look at; false when the axis is done.
    fn refine(&mut self, scan: bool, step: f64) -> bool {
        let latest = self.known.last().copied();
        self.known.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some(best) = self.best() else {
            return false;
        };
        let (u, rise) = self.known[best];
        self.refinements = self.refinements.saturating_add(1);
        if scan && self.refinements == 1 {
            let h = 0.25 / SCAN as f64;
            let sides = [u - h, u + h];
            self.queue
                .extend(sides.into_iter().filter(|v| (0.0..=1.0).contains(v)));
            return true;
        }
        let start = self.known.iter().find(|k| k.0 == self.from);
        let gain = start.map_or(0.0, |s| s.1 - rise);
        let others = self.known.iter().map(|k| k.1).filter(|r| *r > rise);
        let second = others.fold(f64::INFINITY, f64::min);
        if latest.is_some_and(|l| l.0 == u) && second - rise > 0.1 * gain {
            self.due = (self.due + 1).min(MOST_REFINEMENTS);
        }
        if self.refinements > self.due || self.known.len() < 2 {
            return false;
        }
        match self.target(best, step) {
            Some(v) => {
                self.queue.push(v);
                true
            }
            None => false,
        }
    }

    /// Where the line may be lower than at the best that is known.
    fn target(&self, best: usize, step: f64) -> Option<f64> {
        let (last, u) = (self.known.len() - 1, self.known[best].0);
        if best == 0 || best == last {
            // The best is at the end of what is known: to the bottom of the parabola, or else further, twice as far.
            let inner = self.known[if best == 0 { 1 } else { last - 1 }].0;
            let reach = 2.0 * (u - inner).abs();
            let bottom = self
                .known
                .get(best.clamp(1, last.max(2) - 1) - 1..)
                .and_then(bottom);
            let near = bottom.filter(|v| (v - u).abs() <= reach);
            let v = near.unwrap_or(u + 2.0 * (u - inner)).clamp(0.0, 1.0);
            return (v != u).then_some(v);
        }
        let (a, b, c) = (self.known[best - 1], self.known[best], self.known[best + 1]);
        let mut v = bottom(&[a, b, c])?;
        let (left, right) = (b.0 - a.0, c.0 - b.0);
        if right > LOPSIDED * left && v > b.0 {
            v = v.max(b.0 + STRIDE * left);
        } else if left > LOPSIDED * right && v < b.0 {
            v = v.min(b.0 - STRIDE * right);
        }
        let inside = v > a.0 && v < c.0;
        (inside && (v - b.0).abs() >= 1e-6 * step.min(c.0 - a.0)).then_some(v)
    }
}

/// Where the parabola through the first three of some rising points is lowest; `None` where it has no bottom.
fn bottom(points: &[(f64, f64)]) -> Option<f64> {
    let &[a, b, c, ..] = points else { return None };
    let (p, q) = ((b.0 - a.0) * (b.1 - c.1), (b.0 - c.0) * (b.1 - a.1));
    let v = b.0 - 0.5 * ((b.0 - a.0) * p - (b.0 - c.0) * q) / (p - q);
    (q > p && v.is_finite()).then_some(v)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Study, space};
    use super::*;

    #[test]
    fn three_places_find_the_minimum_of_a_parabola() {
        let mut study = Study::new(space(1, &[]), &[0.5], |x| {
            Some((x[0] - 0.61) * (x[0] - 0.61))
        });
        let mut line = LineSearch::bracketing(1);
        for _ in 0..3 {
            assert!(study.turn(&mut line));
        }
        assert!((study.base.place[0] - 0.61).abs() < 1e-9);
    }

    #[test]
    fn a_scan_leaves_a_local_minimum() {
        let f = |x: &[f64]| Some((x[0] - 0.2).abs().min((x[0] - 0.8).abs() - 0.1));
        let mut study = Study::new(space(1, &[]), &[0.2], f);
        let mut scan = LineSearch::scanning(1);
        for _ in 0..13 {
            study.turn(&mut scan);
        }
        assert!((study.base.place[0] - 0.8).abs() < 0.05);
    }

    #[test]
    fn every_option_of_a_choice_is_looked_at_once() {
        let mut study = Study::new(space(0, &[5]), &[3.0], |x| Some(x[0]));
        let mut line = LineSearch::bracketing(1);
        for _ in 0..4 {
            assert!(study.turn(&mut line));
        }
        assert_eq!(study.base.place[0], 0.0);
        assert_eq!(study.archive.entries().len(), 5);
    }

    #[test]
    fn open_trials_are_on_different_axes_once_a_bracket_is_out() {
        let mut study = Study::new(space(3, &[]), &[0.5; 3], |x| Some(x.iter().sum()));
        let mut line = LineSearch::bracketing(3);
        let places: Vec<Place> = (0..6).map(|_| study.proposal(&mut line).unwrap()).collect();
        for axis in 0..3 {
            let moved = places.iter().filter(|p| p[axis] != 0.5).count();
            assert_eq!(moved, 2);
        }
        assert_eq!(study.proposal(&mut line), None);
    }

    #[test]
    fn what_is_known_of_an_axis_outlives_a_move_along_another() {
        let mut sweep = Sweep {
            axis: 0,
            from: 0.5,
            at: 0.5,
            queue: Vec::new(),
            open: Vec::new(),
            known: vec![(0.5, 0.0), (0.7, -2.0), (0.3, 1.0)],
            refinements: 0,
            due: 0,
            carried: false,
        };
        assert!(sweep.follow(0.5, false));
        assert!(sweep.carry() && sweep.queue == [0.7] && !sweep.carry());
        assert!(sweep.follow(0.7, false));
        assert_eq!(sweep.known, [(0.5, 2.0), (0.7, 0.0), (0.3, 3.0)]);
        assert!(!sweep.follow(0.95, false));
        assert!(!sweep.follow(f64::NAN, false));
    }
}
