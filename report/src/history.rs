//! What every trial gave, and the best so far: a panel an objective.

use lapidary_core::goal::{Direction, Objective};
use lapidary_core::trial::{Outcome, Trial};

use crate::canvas::{Area, Canvas, Mark, colour};
use crate::drawn::{Drawn, named};
use crate::error::PlotError;
use crate::panel::{ABOVE, BELOW, Key, LEFT, MARGIN, Named, Panel, head};
use crate::scale::Scale;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;

/// How a trial ended, as it is marked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Measured,
    Infeasible,
    Partial,
    Stopped,
    Failed,
}

impl Fate {
    const ALL: [Self; 5] = [
        Self::Measured,
        Self::Infeasible,
        Self::Partial,
        Self::Stopped,
        Self::Failed,
    ];

    fn of(trial: &Trial) -> Self {
        match &trial.outcome {
            Outcome::Failed { .. } => Self::Failed,
            Outcome::Stopped { .. } => Self::Stopped,
            Outcome::Measured { .. } if !trial.is_feasible() => Self::Infeasible,
            Outcome::Measured { .. } if trial.candidate.fidelity < 1.0 => Self::Partial,
            Outcome::Measured { .. } => Self::Measured,
        }
    }

    fn mark(self) -> (Mark, &'static str, &'static str) {
        match self {
            Self::Measured => (Mark::Dot, colour::SKY, "measured"),
            Self::Infeasible => (Mark::Ring, colour::GREY, "breaks a constraint"),
            Self::Partial => (Mark::Dot, colour::GREY, "at a part of the cost"),
            Self::Stopped => (Mark::Triangle, colour::ORANGE, "stopped"),
            Self::Failed => (Mark::Cross, colour::RED, "failed"),
        }
    }
}

pub fn draw(study: &Drawn<'_>) -> Result<Canvas, PlotError> {
    study.scored()?;
    let objectives = &study.goal.objectives;
    let mut canvas = Canvas::new(WIDTH, ABOVE + HEIGHT * objectives.len() as f64);
    let fates: Vec<Fate> = study.trials.iter().map(Fate::of).collect();
    let mut keys = vec![Key::Line(colour::BLUE, "best so far".into())];
    for fate in Fate::ALL.into_iter().filter(|fate| fates.contains(fate)) {
        let (mark, colour, text) = fate.mark();
        keys.push(Key::Mark(mark, colour, text.into()));
    }
    let title = format!("{}: history of {} trials", study.name, study.trials.len());
    head(&mut canvas, &title, &keys);
    for (i, objective) in objectives.iter().enumerate() {
        let top = ABOVE + i as f64 * HEIGHT;
        let area = Area {
            left: LEFT,
            top,
            right: WIDTH - MARGIN,
            bottom: top + HEIGHT - BELOW,
        };
        panel(&mut canvas, area, study, objective, &fates);
    }
    Ok(canvas)
}

fn panel(
    canvas: &mut Canvas,
    area: Area,
    study: &Drawn<'_>,
    objective: &Objective,
    fates: &[Fate],
) {
    let value = |trial: &Trial| {
        let value = trial.outcome.metrics()?.get(&objective.metric).copied();
        value.filter(|v| v.is_finite())
    };
    let last = study.trials.iter().map(|t| t.candidate.id).max();
    let last = last.unwrap_or(0) as f64;
    let panel = Panel {
        area,
        x: Named {
            name: "trial".into(),
            scale: Scale::Linear {
                low: -0.02 * last - 0.5,
                high: 1.02 * last + 0.5,
            },
        },
        y: Named {
            name: named(objective),
            scale: Scale::around(study.trials.iter().filter_map(value)),
        },
    };
    panel.draw(canvas);
    for (trial, fate) in study.trials.iter().zip(fates) {
        let id = trial.candidate.id as f64;
        let (mark, colour, _) = fate.mark();
        let at = match value(trial) {
            Some(value) => panel.at(id, value),
            // On the panel's edge: there is no number.
            None => (panel.at(id, 1.0).0, area.bottom - 6.0),
        };
        canvas.mark(mark, at, colour);
    }
    let mut best: Option<f64> = None;
    let mut places = Vec::new();
    for (trial, fate) in study.trials.iter().zip(fates) {
        let Some(value) = value(trial).filter(|_| *fate == Fate::Measured) else {
            continue;
        };
        let better = |best: f64| match objective.direction {
            Direction::Minimize => value < best,
            Direction::Maximize => value > best,
        };
        if best.is_none_or(better) {
            let id = trial.candidate.id as f64;
            places.extend(best.map(|best| panel.at(id, best)));
            places.push(panel.at(id, value));
            best = Some(value);
        }
    }
    places.extend(best.map(|best| panel.at(last, best)));
    if !places.is_empty() {
        canvas.path(&places, colour::BLUE, 2.0, 1.0);
    }
}
