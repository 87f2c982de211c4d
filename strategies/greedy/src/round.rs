//! Where moves lead, and which are made next.

use lapidary_core::rng::Rng;
use lapidary_core::space::{AxisValue, Point};

use crate::algorithm::Greedy;
use crate::moves::{Move, Values, along, options, overlay};
use crate::state::Open;

impl Greedy {
    /// Where moves begin: at the lead while it is open, or else where the climb stands.
    fn front(&self) -> Option<&Values> {
        match self.lead() {
            Some((_, open)) => Some(&open.values),
            None => self.state.stand.as_ref().map(|s| &s.values),
        }
    }

    /// The candidate that moves build on at present.
    pub fn lead(&self) -> Option<(u64, &Open)> {
        let id = self.state.lead?;
        let open = self.state.open.get(&id)?;
        (open.climb == self.state.climb).then_some((id, open))
    }

    /// Indices of the axes active where moves begin.
    pub fn active(&self) -> Vec<usize> {
        let front = self.front();
        (0..self.space.axes().len())
            .filter(|&i| front.is_some_and(|values| values[i].is_some()))
            .collect()
    }

    /// The untried point that a move leads to.
    pub fn target(&self, step: Move) -> Option<Point> {
        self.reach(self.front()?, step)
            .filter(|point| !self.state.tried.contains(point))
    }

    /// The point that hopes lead to together, what lost most first, with those that move it.
    pub fn joined(&self, mut hopes: Vec<Move>) -> Option<(Point, Vec<Move>)> {
        self.worst_first(&mut hopes);
        let mut values = self.front()?.clone();
        let mut joined = None;
        let mut steps = Vec::new();
        for step in hopes {
            if let Some(point) = self.reach(&values, step) {
                values = point.values().to_vec();
                joined = Some(point);
                steps.push(step);
            }
        }
        joined.map(|point| (point, steps))
    }

    /// Sorts moves by what they lost when last compared, most first.
    fn worst_first(&self, moves: &mut [Move]) {
        let loss = |step: &Move| match *step {
            Move::Switch { axis, option, from } => {
                let losses = &self.state.losses[axis];
                losses[option] - losses[from]
            }
            _ => 0.0,
        };
        moves.sort_by(|a, b| loss(b).total_cmp(&loss(a)));
    }

    /// The point a move leads to from `base`; `None` where it leads nowhere.
    fn reach(&self, base: &Values, step: Move) -> Option<Point> {
        let mut values = overlay(&self.state.memory, base);
        match step {
            Move::Step { axis, up, size } => {
                let domain = &self.space.axes()[axis].domain;
                values[axis] = Some(along(domain, base[axis]?, up, size)?);
            }
            Move::Switch { axis, option, .. } => {
                let old = base[axis]?;
                values[axis] = Some(AxisValue::Choice(option)).filter(|new| *new != old);
                values[axis]?;
            }
            Move::Pattern => {
                let axes = self.space.axes().iter().zip(base);
                for (i, ((axis, new), old)) in axes.zip(&self.state.round).enumerate() {
                    if let (Some(new), Some(old), false) = (new, old, axis.domain.is_choice()) {
                        let u = 2.0 * axis.domain.to_unit(*new) - axis.domain.to_unit(*old);
                        values[i] = Some(axis.domain.at_unit(u));
                    }
                }
            }
        }
        Some(self.space.point(values))
    }

    /// A new round of one-axis moves: those that lead to points not tried, in random order of the axes.
    pub fn fill_agenda(&mut self, rng: &mut Rng) {
        let mut moves = Vec::new();
        let mut axes = self.active();
        rng.shuffle(&mut axes);
        for axis in axes {
            let domain = &self.space.axes()[axis].domain;
            let at = self.front().and_then(|values| values[axis]);
            if let Some(AxisValue::Choice(from)) = at {
                let mut options: Vec<usize> = (0..options(domain)).collect();
                rng.shuffle(&mut options);
                let switches =
                    options
                        .into_iter()
                        .map(|option| Move::Switch { axis, option, from });
                moves.extend(switches.filter(|m| self.target(*m).is_some()));
            } else {
                let up = self.state.paces[axis].up;
                // The later of the two is tried first.
                moves.extend(self.longest(axis, !up));
                moves.extend(self.longest(axis, up));
            }
        }
        let moved = self.front().map_or(0, |values| {
            let pairs = values.iter().zip(&self.state.round);
            pairs.filter(|(a, b)| a != b).count()
        });
        // The last is the first to be made.
        self.worst_first(&mut moves);
        self.state.agenda = moves;
        if moved > 1 && self.target(Move::Pattern).is_some() {
            self.state.agenda.push(Move::Pattern);
        }
        self.state.round = self.front().cloned().unwrap_or_default();
    }

    /// The longest step up or down an axis, halved from its pace, to a point not tried; none below the precision.
    fn longest(&mut self, axis: usize, up: bool) -> Option<Move> {
        let finite = self.space.axes()[axis].domain.cardinality();
        // A finite axis is walked down to single neighbours.
        let shortest = finite.map_or(self.state.precision, |n| 0.5 / n as f64);
        let mut size = self.state.paces[axis].step;
        while size >= shortest {
            let step = Move::Step { axis, up, size };
            match self.front().and_then(|front| self.reach(front, step)) {
                None => break,
                Some(point) if !self.state.tried.contains(&point) => return Some(step),
                Some(_) => size *= 0.5,
            }
        }
        // Nothing to find on this side: as good as failed.
        self.state.paces[axis].fail(up, f64::INFINITY);
        None
    }
}
