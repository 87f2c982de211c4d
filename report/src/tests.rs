use std::sync::Arc;

use lapidary_core::condition::Condition;
use lapidary_core::goal::{Direction, Goal, Objective};
use lapidary_core::rng::Rng;
use lapidary_core::space::{Axis, AxisValue, Domain, Space};
use lapidary_core::trial::{Candidate, Metrics, Origin, Outcome, Trial};

use super::*;

fn goal(metrics: &[(&str, Direction)], constraint: &[&str]) -> Goal {
    let objectives = metrics.iter().map(|(metric, direction)| Objective {
        metric: (*metric).to_owned(),
        direction: *direction,
    });
    let constraints = constraint
        .iter()
        .map(|text| lapidary_core::goal::Constraint::parse(text).unwrap());
    Goal::new(objectives.collect(), constraints.collect(), Vec::new()).unwrap()
}

fn space() -> Arc<Space> {
    let number = |low, high, log| Domain::Float {
        low,
        high,
        log,
        step: None,
    };
    let options = vec!["adamw".into(), "sgd & <more>".into()];
    let mut momentum = Axis::new("momentum", number(0.5, 0.99, false));
    momentum.when = Some(Condition::parse("optimizer != adamw").unwrap());
    Arc::new(
        Space::new(vec![
            Axis::new("optimizer", Domain::Choice { options }),
            Axis::new("learning_rate", number(1e-4, 0.1, true)),
            momentum,
        ])
        .unwrap(),
    )
}

/// Random trials of whose every seventh fails and every fifth is stopped.
fn trials(space: &Arc<Space>, goal: &Goal, n: u64) -> Vec<Trial> {
    let mut rng = Rng::keyed(0, 0, "plot");
    (0..n)
        .map(|id| {
            let point = space.sample(&mut rng);
            let rate = match point.get("learning_rate") {
                Some(AxisValue::Float(rate)) => rate,
                _ => unreachable!(),
            };
            let metrics: Metrics = (goal.objectives.iter().enumerate())
                .map(|(i, o)| (o.metric.clone(), rate * 10f64.powi(i as i32) + rng.unit()))
                .collect();
            let outcome = match id {
                id if id % 7 == 3 => Outcome::Failed {
                    reason: "no luck".into(),
                },
                id if id % 5 == 2 => Outcome::Stopped {
                    metrics: Metrics::new(),
                    reason: "late".into(),
                },
                _ => Outcome::Measured { metrics },
            };
            Trial {
                score: goal.score(&outcome).ok(),
                candidate: Candidate {
                    id,
                    point,
                    fidelity: 1.0,
                    parent: None,
                },
                origin: Origin::Own,
                outcome,
                curve: Vec::new(),
                repeats: None,
            }
        })
        .collect()
}

const MIN: Direction = Direction::Minimize;
const MAX: Direction = Direction::Maximize;

fn drawn<'a>(space: &'a Space, goal: &'a Goal, trials: &'a [Trial]) -> Drawn<'a> {
    Drawn {
        name: "a <study>",
        space,
        goal,
        trials,
    }
}

#[test]
fn every_kind_is_drawn_and_becomes_a_png() {
    let space = space();
    for metrics in [
        &[("loss", MIN)][..],
        &[("accuracy", MAX), ("bytes", MIN)],
        &[("a", MIN), ("b", MIN), ("c", MAX)],
    ] {
        let goal = goal(metrics, &["loss <= 0.5"][..usize::from(metrics.len() == 1)]);
        let trials = trials(&space, &goal, 60);
        let study = drawn(&space, &goal, &trials);
        for kind in [Kind::History, Kind::Front, Kind::Parallel, Kind::Importance] {
            if kind == Kind::Front && metrics.len() == 1 {
                continue;
            }
            let picture = draw(&study, kind).unwrap();
            let svg = picture.svg();
            assert!(svg.contains("a &lt;study&gt;"), "{svg}");
            for (metric, _) in metrics {
                assert!(svg.contains(metric), "{kind:?}: {svg}");
            }
            assert!(
                !svg.contains("NaN") && !svg.contains("inf"),
                "{kind:?}: {svg}"
            );
            let png = picture.png().unwrap();
            assert_eq!(png[1..4], *b"PNG");
        }
    }
}

#[test]
fn a_history_marks_how_trials_ended_and_its_best_never_gets_worse() {
    let (space, goal) = (space(), goal(&[("loss", MIN)], &["loss <= 0.5"]));
    let trials = trials(&space, &goal, 40);
    let svg = draw(&drawn(&space, &goal, &trials), Kind::History)
        .unwrap()
        .svg();
    for text in [
        "best so far",
        "breaks a constraint",
        "stopped",
        "failed",
        "loss (minimized)",
    ] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    let failed = trials
        .iter()
        .filter(|t| matches!(t.outcome, Outcome::Failed { .. }));
    // A cross for each, and one in the legend.
    assert_eq!(svg.matches("l7 7m0 -7l-7 7").count(), failed.count() + 1);
    let line = svg
        .lines()
        .rfind(|line| line.starts_with("<polyline"))
        .unwrap();
    let points = line.split('"').nth(1).unwrap().split(' ');
    let heights: Vec<f64> = points
        .map(|point| point.split_once(',').unwrap().1.parse().unwrap())
        .collect();
    assert!(
        heights.is_sorted(),
        "lower is better, and y goes down: {heights:?}"
    );
}

#[test]
fn an_inactive_axis_is_crossed_below_the_others() {
    let (space, goal) = (space(), goal(&[("loss", MIN)], &[]));
    let trials = trials(&space, &goal, 40);
    let svg = draw(&drawn(&space, &goal, &trials), Kind::Parallel)
        .unwrap()
        .svg();
    assert!(svg.contains("– where the axis is inactive") && svg.contains("sgd &amp; &lt;more&gt;"));
    let measured = trials.iter().filter(|t| t.score.is_some());
    assert_eq!(svg.matches("<polyline").count(), measured.count());
    for text in ["0.0001", "0.01", "0.1", "0.5", "0.9"] {
        assert!(svg.contains(&format!(">{text}<")), "{text}");
    }
}

#[test]
fn where_there_is_nothing_to_show_the_error_says_so() {
    let (space, goal) = (space(), goal(&[("loss", MIN)], &[]));
    let trials = trials(&space, &goal, 40);
    let refused = |trials, kind| {
        let study = drawn(&space, &goal, trials);
        draw(&study, kind).unwrap_err().to_string()
    };
    assert!(refused(&trials, Kind::Front).contains("one objective, `loss`"));
    for kind in [Kind::History, Kind::Parallel, Kind::Importance] {
        assert!(refused(&trials[3..4], kind).contains("no trial yet"));
    }
    assert!(refused(&trials[..1], Kind::Importance).contains("do not differ in `loss`"));
}
