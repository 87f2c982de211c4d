//! What outcomes mean for the climb.

use lapidary_core::trial::Score;

use crate::algorithm::Greedy;
use crate::judge::Judge;
use crate::moves::{Move, Pace, Values, WIDEST, overlay};
use crate::state::{Open, Phase, Stand};

impl Greedy {
    /// What the outcome of a candidate of this climb means for it.
    pub fn follow(&mut self, id: u64, open: Open, score: Option<&Score>) {
        let Some(stand) = &mut self.state.stand else {
            return;
        };
        if stand.id == Some(id) {
            stand.id = None;
            stand.score = score.cloned();
            return;
        }
        let (old, by) = (stand.score.clone(), stand.by.clone());
        let late = open.left.is_some();
        let judge = self.judge();
        let from_known = open.on.is_none();
        if from_known {
            self.learn(&judge, &open, score, open.left.as_ref().or(old.as_ref()));
        }
        if judge.better(score, old.as_ref()) {
            self.move_on(id, open, score);
            if late {
                // It was made from an earlier point: what led on from there is worth another try.
                self.state.hopes.extend(by);
            }
            return;
        }
        self.stay(id, score);
        let state = &mut self.state;
        if late && judge.better(score, open.left.as_ref()) {
            // Good where it was made: as moves they may be good from here.
            state.hopes.extend(open.steps);
        } else if open.steps.len() > 1 {
            state.apart.extend(open.steps);
        } else if let ([Move::Step { axis, up, size }], true) = (&open.steps[..], from_known) {
            state.paces[*axis].fail(*up, *size);
        }
    }

    /// Notes how an option compares with the one it replaced.
    fn learn(&mut self, judge: &Judge, open: &Open, score: Option<&Score>, base: Option<&Score>) {
        if let [Move::Switch { axis, option, from }] = open.steps[..]
            && let Some(loss) = judge.loss(score, base)
        {
            let losses = &mut self.state.losses[axis];
            losses[option] = losses[from] + loss;
        }
    }

    /// The climb does not go to a candidate: what builds on that was made from where the climb will not stand.
    fn stay(&mut self, id: u64, score: Option<&Score>) {
        let state = &mut self.state;
        for (other, open) in &mut state.open {
            if open.on != Some(id) {
                continue;
            }
            if state.lead == Some(*other) {
                state.lead = None;
            }
            // Made from what failed, it can only be compared with the stand.
            if score.is_some() {
                open.on = None;
                open.left = score.cloned();
            }
        }
    }

    /// The climb goes to a better point.
    fn move_on(&mut self, id: u64, open: Open, score: Option<&Score>) {
        let state = &mut self.state;
        let old = state.stand.take().and_then(|stand| stand.score);
        for other in state.open.values_mut() {
            if other.on == Some(id) {
                other.on = None;
            } else if other.climb == state.climb && other.on.is_none() && other.left.is_none() {
                other.left = old.clone();
            }
        }
        let from = std::mem::take(&mut state.memory);
        state.memory = overlay(&from, &open.values);
        state.phase = Phase::Climb;
        if open.steps.is_empty() {
            self.spread_out(&from);
        }
        for step in &open.steps {
            self.go_on(*step);
        }
        self.state.stand = Some(Stand {
            id: None,
            values: open.values,
            score: score.cloned(),
            by: open.steps,
        });
    }

    /// After a move that was good.
    fn go_on(&mut self, step: Move) {
        let state = &mut self.state;
        state
            .agenda
            .retain(|m| step.axis().is_none() || m.axis() != step.axis());
        match step {
            Move::Step { axis, up, size } => {
                let size = (2.0 * size).min(WIDEST);
                state.paces[axis] = Pace {
                    step: size,
                    up,
                    failed: [false; 2],
                };
                // On in the same direction, before all else.
                state.agenda.push(Move::Step { axis, up, size });
            }
            Move::Switch { .. } => {}
            Move::Pattern => state.agenda.push(Move::Pattern),
        }
    }

    /// After a shake that was good: the axes that moved are walked anew, with steps as long as the jump.
    fn spread_out(&mut self, from: &Values) {
        let state = &mut self.state;
        state.forget_moves();
        for (i, axis) in self.space.axes().iter().enumerate() {
            if let (Some(a), Some(b)) = (from[i], state.memory[i])
                && a != b
                && !axis.domain.is_choice()
            {
                let jump = (axis.domain.to_unit(a) - axis.domain.to_unit(b)).abs();
                state.paces[i] = Pace::of((jump / 2.0).clamp(4.0 * state.precision, WIDEST));
            }
        }
    }
}
