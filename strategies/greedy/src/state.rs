//! What the searcher keeps while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use lapidary_core::ledger::Ledger;
use lapidary_core::settings::Checked;
use lapidary_core::space::{Axis, AxisValue, Space};
use lapidary_core::trial::Score;
use lapidary_core::tried::Tried;
use serde::{Deserialize, Serialize};

use crate::archive::Archive;
use crate::config::Config;
use crate::error::GreedyError;
use crate::moves::{Move, Pace, Values, WIDEST, options};

/// Finest precision a search comes down to.
pub const FINEST: f64 = 1e-12;

/// What a snapshot must share with the searcher it restores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    pub config: Checked<Config>,
    pub seed: u64,
    pub objectives: usize,
}

/// What changes while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub setup: Setup,
    pub ledger: Ledger,
    pub tried: Tried,
    /// Candidates whose outcome is not told yet.
    pub open: BTreeMap<u64, Open>,
    /// Number of the present climb; outcomes of an earlier one move it no more.
    pub climb: u64,
    /// Where the climb stands; nowhere before the first ask.
    pub stand: Option<Stand>,
    /// A value for every axis: that of the stand, or, where inactive there, its last one.
    pub memory: Values,
    pub paces: Vec<Pace>,
    /// Moves left in this round, the next one last.
    pub agenda: Vec<Move>,
    /// Moves that were good where they were made, to be made together where the climb is now.
    pub hopes: Vec<Move>,
    /// Hopes that failed together, to be tried one by one; the next one last.
    pub apart: Vec<Move>,
    /// The last candidate made of hopes: most likely the next stand, so moves build on it while it is open.
    pub lead: Option<u64>,
    /// Where the round began.
    pub round: Values,
    pub phase: Phase,
    pub precision: f64,
    pub restarts: u64,
    /// Of each option of a choice, how much worse than others of its axis it was when last compared.
    pub losses: Vec<Vec<f64>>,
    pub archive: Archive,
}

/// A candidate and what it was made for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    pub values: Values,
    pub climb: u64,
    /// The moves that made it; none for a shake.
    pub steps: Vec<Move>,
    /// The candidate it builds on, where that was not told yet.
    pub on: Option<u64>,
    /// Score of the point it was made from, where the climb does not stand there any more.
    pub left: Option<Score>,
}

/// The point a climb stands at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stand {
    /// The candidate whose outcome will be its score, where that is open.
    pub id: Option<u64>,
    pub values: Values,
    /// `None` is worse than any.
    pub score: Option<Score>,
    /// The moves that led there.
    pub by: Vec<Move>,
}

/// What is done when the agenda is empty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// One-axis moves.
    Climb,
    /// Changes of `width` axes at once, `left` times.
    Shake { width: u32, left: u32 },
}

impl State {
    /// Before the first ask.
    pub fn new(setup: Setup, axes: &[Axis]) -> Self {
        Self {
            ledger: Ledger::default(),
            tried: Tried::default(),
            open: BTreeMap::new(),
            climb: 0,
            stand: None,
            memory: axes.iter().map(|a| Some(a.domain.at_unit(0.5))).collect(),
            paces: vec![Pace::of(setup.config.step); axes.len()],
            agenda: Vec::new(),
            hopes: Vec::new(),
            apart: Vec::new(),
            lead: None,
            round: Vec::new(),
            phase: Phase::Climb,
            precision: setup.config.precision,
            restarts: 0,
            losses: axes.iter().map(|a| vec![0.0; options(&a.domain)]).collect(),
            archive: Archive::default(),
            setup,
        }
    }

    /// Forgets what was to be done at another place.
    pub fn forget_moves(&mut self) {
        self.agenda.clear();
        self.hopes.clear();
        self.apart.clear();
        self.lead = None;
    }

    /// Whether it is one that a searcher of this setup can go on from.
    pub fn check(&self, setup: &Setup, space: &Arc<Space>) -> Result<(), GreedyError> {
        if self.setup != *setup {
            return Err(GreedyError::OtherSearch);
        }
        let wrong = |what| Err(GreedyError::OtherSpace { what });
        let axes = space.axes();
        let scored = |score: &Score| {
            score.objectives.len() == setup.objectives
                && score.objectives.iter().all(|v| v.is_finite())
        };
        let possible = |step: &Move| match *step {
            Move::Step { axis, size, .. } => {
                axis < axes.len() && !axes[axis].domain.is_choice() && size > 0.0 && size <= WIDEST
            }
            Move::Switch { axis, option, from } => {
                axis < axes.len()
                    && axes[axis].domain.contains(AxisValue::Choice(from))
                    && axes[axis].domain.contains(AxisValue::Choice(option))
            }
            Move::Pattern => true,
        };
        if self.paces.len() != axes.len()
            || !self.paces.iter().all(|p| p.step > 0.0 && p.step <= WIDEST)
        {
            return wrong("a pace");
        }
        let remembered = |(axis, value): (&Axis, &Option<AxisValue>)| {
            value.is_some_and(|v| axis.domain.contains(v))
        };
        if self.memory.len() != axes.len() || !axes.iter().zip(&self.memory).all(remembered) {
            return wrong("the memory");
        }
        if !(self.round.is_empty() || space.admits(&self.round)) {
            return wrong("the round's beginning");
        }
        if let Some(stand) = &self.stand
            && !(space.admits(&stand.values)
                && stand.score.iter().all(scored)
                && stand.by.iter().all(possible))
        {
            return wrong("the stand");
        }
        if ![&self.agenda, &self.hopes, &self.apart]
            .into_iter()
            .flatten()
            .all(possible)
        {
            return wrong("a move");
        }
        let open = |open: &Open| {
            space.admits(&open.values)
                && open.left.iter().all(scored)
                && open.steps.iter().all(possible)
        };
        if !self.open.values().all(open) {
            return wrong("an open candidate");
        }
        let losses = |(axis, losses): (&Axis, &Vec<f64>)| {
            losses.len() == options(&axis.domain) && losses.iter().all(|v| v.is_finite())
        };
        if self.losses.len() != axes.len() || !axes.iter().zip(&self.losses).all(losses) {
            return wrong("a loss");
        }
        if !(self.precision >= FINEST && self.precision <= WIDEST) {
            return wrong("the precision");
        }
        if self.restarts > 1 << 62 || self.climb > 1 << 62 {
            return wrong("a count");
        }
        if !self
            .archive
            .known()
            .iter()
            .all(|k| space.admits(&k.values) && scored(&k.score))
        {
            return wrong("a known point");
        }
        Ok(())
    }
}
