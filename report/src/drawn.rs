//! What is drawn: a study and its trials.

use lapidary_core::goal::{Direction, Goal, Objective};
use lapidary_core::space::Space;
use lapidary_core::trial::Trial;

use crate::error::PlotError;

/// A study to draw.
#[derive(Debug, Clone, Copy)]
pub struct Drawn<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it searched.
    pub space: &'a Space,
    /// What it was after.
    pub goal: &'a Goal,
    /// Its trials, by id.
    pub trials: &'a [Trial],
}

impl Drawn<'_> {
    /// Trials with a score at full fidelity, repeated ones once.
    pub(crate) fn scored(&self) -> Result<Vec<&Trial>, PlotError> {
        let scored: Vec<&Trial> = (self.trials.iter())
            .filter(|t| t.score.is_some() && t.candidate.fidelity == 1.0 && t.repeats.is_none())
            .collect();
        if scored.is_empty() {
            return Err(PlotError::NoTrial {
                study: self.name.to_owned(),
            });
        }
        Ok(scored)
    }
}

/// An objective with its direction, for an axis.
pub(crate) fn named(objective: &Objective) -> String {
    let better = match objective.direction {
        Direction::Minimize => "minimized",
        Direction::Maximize => "maximized",
    };
    format!("{} ({better})", objective.metric)
}
