//! How much each axis decides every objective, as bars.

use crate::canvas::{Anchor, Area, Canvas, colour, width};
use crate::drawn::Drawn;
use crate::error::PlotError;
use crate::fanova::{Importance, importance as of_axes};
use crate::panel::MARGIN;

const BARS: f64 = 460.0;
const ROW: f64 = 22.0;
const TOP: f64 = 64.0;

pub fn draw(study: &Drawn<'_>) -> Result<Canvas, PlotError> {
    let importances = importances(study)?;
    let axes = study.space.axes();
    let together = "axes together";
    let names = axes.iter().map(|axis| axis.name.as_str()).chain([together]);
    let left = MARGIN + names.map(width).fold(0.0, f64::max) + 10.0;
    let group = (axes.len() + 2) as f64 * ROW + 12.0;
    let mut canvas = Canvas::new(
        (left + BARS + 80.0).max(760.0),
        TOP + group * importances.len() as f64,
    );
    let trials = study.scored()?.len();
    canvas.title(
        (MARGIN, 20.0),
        &format!("{}: importance of axes", study.name),
    );
    let note =
        format!("share of the variance, by functional ANOVA of a random forest on {trials} trials");
    canvas.text((MARGIN, 42.0), Anchor::Start, &note);
    for (i, (metric, importance)) in importances.iter().enumerate() {
        let mut rows: Vec<(&str, f64, &str)> = (axes.iter().zip(&importance.axes))
            .map(|(axis, share)| (axis.name.as_str(), *share, colour::BLUE))
            .collect();
        rows.sort_by(|a, b| b.1.total_cmp(&a.1));
        rows.push((together, importance.joint, colour::GREY));
        let top = TOP + group * i as f64;
        canvas.title((left, top + ROW / 2.0), metric);
        for (row, (name, share, colour)) in rows.into_iter().enumerate() {
            let top = top + (row + 1) as f64 * ROW;
            let bar = Area {
                left,
                top: top + 3.0,
                right: left + (share * BARS).max(1.0),
                bottom: top + ROW - 3.0,
            };
            let middle = top + ROW / 2.0;
            canvas.text((left - 8.0, middle), Anchor::End, name);
            canvas.rectangle(bar, colour);
            let percent = format!("{:.1} %", 100.0 * share);
            canvas.text((bar.right + 8.0, middle), Anchor::Start, &percent);
        }
    }
    Ok(canvas)
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
