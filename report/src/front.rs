//! What trials gave in two objectives at a time, and which of them no other beats.

use std::collections::HashSet;

use lapidary_core::goal::Direction;
use lapidary_core::study::front;
use lapidary_core::trial::Trial;

use crate::canvas::{Area, Canvas, Mark, colour};
use crate::drawn::{Drawn, named};
use crate::error::PlotError;
use crate::panel::{ABOVE, BELOW, Key, LEFT, MARGIN, Named, Panel, head};
use crate::scale::Scale;

pub fn draw(study: &Drawn<'_>) -> Result<Canvas, PlotError> {
    let objectives = &study.goal.objectives;
    if let [only] = &objectives[..] {
        return Err(PlotError::OneObjective {
            study: study.name.to_owned(),
            metric: only.metric.clone(),
        });
    }
    let scored = study.scored()?;
    let best: HashSet<u64> = front(study.trials).iter().map(|t| t.candidate.id).collect();
    let pairs: Vec<[usize; 2]> = (0..objectives.len())
        .flat_map(|x| (x + 1..objectives.len()).map(move |y| [x, y]))
        .collect();
    let columns = (pairs.len() as f64).sqrt().ceil() as usize;
    let rows = pairs.len().div_ceil(columns);
    let [wide, high] = if pairs.len() == 1 {
        [720.0, 500.0]
    } else {
        [440.0, 340.0]
    };
    let mut canvas = Canvas::new(
        (wide * columns as f64).max(720.0),
        ABOVE + high * rows as f64,
    );
    let text = format!("front ({})", best.len());
    let mut keys = vec![Key::Mark(Mark::Dot, colour::BLUE, text)];
    let others = || scored.iter().filter(|t| !best.contains(&t.candidate.id));
    if others().any(|trial| trial.is_feasible()) {
        let text = "beaten by another".into();
        keys.push(Key::Mark(Mark::Dot, colour::SKY, text));
    }
    if others().any(|trial| !trial.is_feasible()) {
        let text = "breaks a constraint".into();
        keys.push(Key::Mark(Mark::Ring, colour::GREY, text));
    }
    let title = format!("{}: Pareto front of {} trials", study.name, scored.len());
    head(&mut canvas, &title, &keys);
    for (i, pair) in pairs.iter().enumerate() {
        let (left, top) = (
            wide * (i % columns) as f64,
            ABOVE + high * (i / columns) as f64,
        );
        let area = Area {
            left: left + LEFT,
            top,
            right: left + wide - MARGIN,
            bottom: top + high - BELOW,
        };
        draw_pair(&mut canvas, area, study, &scored, &best, *pair);
    }
    Ok(canvas)
}

fn draw_pair(
    canvas: &mut Canvas,
    area: Area,
    study: &Drawn<'_>,
    scored: &[&Trial],
    best: &HashSet<u64>,
    pair: [usize; 2],
) {
    let [x, y] = pair.map(|i| &study.goal.objectives[i]);
    let values = |trial: &Trial| -> Option<[f64; 2]> {
        let metrics = trial.outcome.metrics()?;
        Some([*metrics.get(&x.metric)?, *metrics.get(&y.metric)?])
    };
    let all: Vec<(&Trial, [f64; 2])> = (scored.iter())
        .filter_map(|trial| Some((*trial, values(trial)?)))
        .collect();
    let [x_scale, y_scale] = [0, 1].map(|i| Scale::around(all.iter().map(|(_, v)| v[i])));
    let panel = Panel {
        area,
        x: Named {
            name: named(x),
            scale: x_scale,
        },
        y: Named {
            name: named(y),
            scale: y_scale,
        },
    };
    panel.draw(canvas);
    let (mut front, others): (Vec<_>, Vec<_>) = all
        .iter()
        .partition(|(t, _)| best.contains(&t.candidate.id));
    for (trial, [x, y]) in others {
        let (mark, colour) = if trial.is_feasible() {
            (Mark::Dot, colour::SKY)
        } else {
            (Mark::Ring, colour::GREY)
        };
        canvas.mark(mark, panel.at(x, y), colour);
    }
    // Of two objectives the front bounds what is known to be in reach.
    if study.goal.objectives.len() == 2 {
        front.sort_by(|a, b| a.1[0].total_cmp(&b.1[0]));
        let mut places = Vec::new();
        for pair in front.windows(2) {
            let ([from_x, from_y], [to_x, to_y]) = (pair[0].1, pair[1].1);
            places.push(panel.at(from_x, from_y));
            places.push(match x.direction {
                Direction::Minimize => panel.at(to_x, from_y),
                Direction::Maximize => panel.at(from_x, to_y),
            });
        }
        places.extend(front.last().map(|(_, [x, y])| panel.at(*x, *y)));
        canvas.path(&places, colour::BLUE, 1.2, 0.6);
    }
    for (_, [x, y]) in front {
        canvas.mark(Mark::Dot, panel.at(x, y), colour::BLUE);
    }
}
