//! Pictures of studies: what trials gave, which are best, where they lie and which axes decide, as SVG and as PNG; for the latter
//! a font is bundled, so none of the system is needed.

mod canvas;
mod fanova;
mod front;
mod history;
mod importance;
mod panel;
mod parallel;
mod png;
mod scale;
mod svg;
#[cfg(test)]
mod tests;

use crate::fanova::{Importance, importance as of_axes};
use lapidary_core::goal::{Direction, Goal, Objective};
use lapidary_core::space::Space;
use lapidary_core::trial::Trial;
use thiserror::Error;

use self::canvas::Canvas;

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every trial in order, and the best so far.
    History,
    /// Two objectives against each other, every pair where there are more.
    Front,
    /// Every trial a line through its values.
    Parallel,
    /// How much each axis decides.
    Importance,
}

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

/// Why there is no picture.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum PlotError {
    #[error("study `{study}` has no trial yet that was measured in full")]
    NoTrial { study: String },
    #[error(
        "study `{study}` has one objective, `{metric}`; a front needs two. Its history, parallel coordinates and importance \
         of axes can be drawn"
    )]
    OneObjective { study: String, metric: String },
    #[error(
        "the measured trials of study `{study}` do not differ in `{metric}`, so no axis decides it; more trials may"
    )]
    Flat { study: String, metric: String },
    #[error("the picture cannot be drawn as PNG: {0}")]
    Png(String),
}

/// A picture, to be written as a file.
#[derive(Debug, Clone)]
pub struct Picture(Canvas);

impl Picture {
    /// The picture as an SVG document.
    pub fn svg(&self) -> String {
        svg::svg(&self.0)
    }

    /// The picture as PNG, two pixels for one of the SVG.
    ///
    /// # Errors
    /// When it is too large to be drawn.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        png::png(&self.0)
    }
}

/// Draws a study.
///
/// # Errors
/// When the study has nothing to show of this kind.
pub fn draw(study: &Drawn<'_>, kind: Kind) -> Result<Picture, PlotError> {
    let canvas = match kind {
        Kind::History => history::draw(study)?,
        Kind::Front => front::draw(study)?,
        Kind::Parallel => parallel::draw(study)?,
        Kind::Importance => importance::draw(study)?,
    };
    Ok(Picture(canvas))
}

/// The importance of the axes for every objective, by metric; see the module `fanova`. Trials count that were
/// measured in full, repeated points once.
///
/// # Errors
/// When no trial was measured, or all have the same value of an objective.
pub fn importances(study: &Drawn<'_>) -> Result<Vec<(String, Importance)>, PlotError> {
    let scored = study.scored()?;
    let points: Vec<_> = scored.iter().map(|trial| &trial.candidate.point).collect();
    (study.goal.objectives.iter().enumerate())
        .map(|(i, objective)| {
            let values: Vec<f64> = (scored.iter())
                .filter_map(|trial| Some(trial.score.as_ref()?.objectives[i]))
                .collect();
            let importance = of_axes(&points, &values).ok_or_else(|| PlotError::Flat {
                study: study.name.to_owned(),
                metric: objective.metric.clone(),
            })?;
            Ok((objective.metric.clone(), importance))
        })
        .collect()
}

impl Drawn<'_> {
    /// Trials with a score at full fidelity, repeated ones once.
    fn scored(&self) -> Result<Vec<&Trial>, PlotError> {
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
fn named(objective: &Objective) -> String {
    let better = match objective.direction {
        Direction::Minimize => "minimized",
        Direction::Maximize => "maximized",
    };
    format!("{} ({better})", objective.metric)
}
