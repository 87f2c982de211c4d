//! Parallel coordinates: every trial a line through its values, an upright an axis.

use lapidary_core::goal::Direction;
use lapidary_core::space::{Axis, AxisValue, Domain};
use lapidary_core::trial::Trial;

use crate::canvas::{Anchor, Area, Canvas, colour, width};
use crate::drawn::{Drawn, named};
use crate::error::PlotError;
use crate::panel::MARGIN;
use crate::scale::Scale;

const HEIGHT: f64 = 500.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 56.0;

/// Where an inactive axis is crossed, below its upright.
const ABSENT: f64 = -0.07;

/// From the best to the worst: the scale viridis of matplotlib, by its colours at quarters.
const COLOURS: [[f64; 3]; 5] = [
    [68.0, 1.0, 84.0],
    [59.0, 82.0, 139.0],
    [33.0, 145.0, 140.0],
    [94.0, 201.0, 98.0],
    [253.0, 231.0, 37.0],
];

/// An upright: its name, its ticks by place in [0, 1], and where every trial crosses it.
struct Upright {
    name: String,
    ticks: Vec<(f64, String)>,
    places: Vec<f64>,
    /// Whether some points do not have it.
    conditional: bool,
}

pub fn draw(study: &Drawn<'_>) -> Result<Canvas, PlotError> {
    let scored = study.scored()?;
    let objectives = &study.goal.objectives;
    let value = |trial: &Trial, metric: &str| -> f64 {
        let metrics = trial.outcome.metrics();
        metrics.and_then(|m| m.get(metric)).copied().unwrap_or(0.0)
    };
    let mut uprights: Vec<Upright> = (study.space.axes().iter().enumerate())
        .map(|(i, axis)| of_axis(i, axis, &scored))
        .collect();
    for objective in objectives {
        let values: Vec<f64> = (scored.iter())
            .map(|trial| value(trial, &objective.metric))
            .collect();
        let scale = Scale::around(values.iter().copied());
        uprights.push(Upright {
            name: named(objective),
            ticks: placed(&scale, scale.ticks(6)),
            places: values.iter().map(|v| scale.place(*v)).collect(),
            conditional: false,
        });
    }
    let first = &uprights[study.space.axes().len()];
    let best_is_high = objectives[0].direction == Direction::Maximize;
    // From the best at 0 to the worst at 1, whatever room the scale has.
    let (low, high) = (
        first.places.iter().copied().fold(f64::INFINITY, f64::min),
        first
            .places
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max),
    );
    let shade = |place: f64| {
        let share = if high > low {
            (place - low) / (high - low)
        } else {
            0.0
        };
        if best_is_high { 1.0 - share } else { share }.clamp(0.0, 1.0)
    };
    let mut order: Vec<(usize, f64)> = (first.places.iter().enumerate())
        .map(|(trial, place)| (trial, shade(*place)))
        .collect();
    // The best lie on top.
    order.sort_by(|a, b| b.1.total_cmp(&a.1));

    let lefts = lefts(&uprights);
    let right = lefts[lefts.len() - 1] + width(&uprights[uprights.len() - 1].name) / 2.0;
    let mut canvas = Canvas::new(right.max(640.0) + MARGIN, HEIGHT);
    let title = format!(
        "{}: parallel coordinates of {} trials",
        study.name,
        scored.len()
    );
    canvas.title((MARGIN, 20.0), &title);
    let mut note = format!(
        "coloured by {}: the darker, the better",
        objectives[0].metric
    );
    if uprights.iter().any(|upright| upright.conditional) {
        note.push_str("; – where the axis is inactive");
    }
    canvas.text((MARGIN, 44.0), Anchor::Start, &note);
    let at = |i: usize, place: f64| {
        let area = Area {
            left: lefts[i],
            top: TOP,
            right: lefts[i],
            bottom: HEIGHT - BOTTOM,
        };
        area.at(0.0, place)
    };
    let opacity = (30.0 / scored.len() as f64).clamp(0.15, 0.8);
    for (trial, shade) in order {
        let places: Vec<_> = (uprights.iter().enumerate())
            .map(|(i, upright)| at(i, upright.places[trial]))
            .collect();
        let strength = if shade == 0.0 { 1.0 } else { opacity };
        canvas.path(&places, &tone(shade), 1.5, strength);
    }
    for (i, upright) in uprights.iter().enumerate() {
        canvas.line(at(i, 0.0), at(i, 1.0), colour::INK);
        let (x, y) = at(i, 1.0);
        canvas.text((x, y - 20.0), Anchor::Middle, &upright.name);
        for (place, text) in &upright.ticks {
            let (x, y) = at(i, *place);
            canvas.line((x - 4.0, y), (x, y), colour::INK);
            canvas.text((x - 7.0, y), Anchor::End, text);
        }
        if upright.conditional {
            let (x, y) = at(i, ABSENT);
            canvas.text((x - 7.0, y), Anchor::End, "–");
        }
    }
    // The first objective's upright is the key to the colours.
    let i = study.space.axes().len();
    for step in 0..48 {
        let place = low + (high - low) * f64::from(step) / 48.0;
        let next = place + (high - low) / 48.0;
        let ((x, bottom), (_, top)) = (at(i, place), at(i, next));
        let area = Area {
            left: x - 3.0,
            top: top - 0.2,
            right: x + 3.0,
            bottom,
        };
        canvas.rectangle(area, &tone(shade(place)));
    }
    Ok(canvas)
}

fn of_axis(index: usize, axis: &Axis, scored: &[&Trial]) -> Upright {
    let domain = &axis.domain;
    let ticks = match domain {
        Domain::Choice { options } => (options.iter().enumerate())
            .map(|(i, option)| {
                let text = option
                    .as_str()
                    .map_or_else(|| option.to_string(), str::to_owned);
                (domain.to_unit(AxisValue::Choice(i)), text)
            })
            .collect(),
        Domain::Float { low, high, log, .. } => values(*low, *high, *log)
            .into_iter()
            .map(|(value, text)| (domain.to_unit(AxisValue::Float(value)), text))
            .collect(),
        Domain::Int { low, high, log, .. } => values(*low as f64, *high as f64, *log)
            .into_iter()
            .filter(|(value, _)| value.fract() == 0.0)
            .map(|(value, _)| value as i64)
            .map(|value| (domain.to_unit(AxisValue::Int(value)), value.to_string()))
            .collect(),
    };
    let place = |trial: &&Trial| {
        let value = trial.candidate.point.values()[index];
        value.map_or(ABSENT, |value| domain.to_unit(value))
    };
    Upright {
        name: axis.name.clone(),
        ticks,
        places: scored.iter().map(place).collect(),
        conditional: axis.when.is_some(),
    }
}

/// Round values of a range to write beside it.
fn values(low: f64, high: f64, log: bool) -> Vec<(f64, String)> {
    let scale = if log {
        Scale::Log { low, high }
    } else {
        Scale::Linear { low, high }
    };
    scale.ticks(6)
}

fn placed(scale: &Scale, ticks: Vec<(f64, String)>) -> Vec<(f64, String)> {
    (ticks.into_iter())
        .map(|(value, text)| (scale.place(value), text))
        .collect()
}

/// Where the uprights stand: names side by side, and room for the ticks' texts.
fn lefts(uprights: &[Upright]) -> Vec<f64> {
    let name = |upright: &Upright| width(&upright.name) / 2.0;
    let ticks = |upright: &Upright| {
        let widths = upright.ticks.iter().map(|(_, text)| width(text));
        widths.fold(0.0, f64::max)
    };
    let mut lefts: Vec<f64> = Vec::new();
    for (i, upright) in uprights.iter().enumerate() {
        lefts.push(match i {
            0 => MARGIN + name(upright).max(ticks(upright) + 10.0),
            _ => {
                let names = name(&uprights[i - 1]) + name(upright) + 16.0;
                lefts[i - 1] + names.max(ticks(upright) + 30.0).max(84.0)
            }
        });
    }
    lefts
}

/// The colour at `share` from the best to the worst.
fn tone(share: f64) -> String {
    let place = share.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    let below = (place as usize).min(COLOURS.len() - 2);
    let within = place - below as f64;
    let mixed = |i: usize| COLOURS[below][i] * (1.0 - within) + COLOURS[below + 1][i] * within;
    let [r, g, b] = [0, 1, 2].map(|i| mixed(i).round() as u8);
    format!("#{r:02x}{g:02x}{b:02x}")
}
