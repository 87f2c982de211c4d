//! What comes of whole grids.

use std::collections::BTreeSet;
use std::sync::Arc;

use lapidary_core::condition::Condition;
use lapidary_core::json::Json;
use lapidary_core::registry::SearchInit;
use lapidary_core::space::{Axis, Domain, Space};
use lapidary_grid::ENTRY;
use lapidary_testkit::searcher::{make, run};
use serde_json::json;

/// One of three optimizers, each with axes of its own: as a plain product of levels 3 · 5 · 5 · 4 points.
fn space() -> Arc<Space> {
    let when = |text: &str| Some(Condition::parse(text).unwrap());
    let options = ["sgd", "adam", "none"].map(Json::from).to_vec();
    let float = |low, high, log| Domain::Float {
        low,
        high,
        log,
        step: None,
    };
    let axes = vec![
        Axis {
            when: when("rule != none"),
            ..Axis::new("lr", float(1e-4, 1.0, true))
        },
        Axis::new("rule", Domain::Choice { options }),
        Axis {
            when: when("rule == sgd and lr > 0.05"),
            ..Axis::new("momentum", float(0.0, 0.9, false))
        },
        Axis {
            when: when("rule == adam"),
            ..Axis::new(
                "warm",
                Domain::Int {
                    low: 0,
                    high: 3,
                    log: false,
                    step: 1,
                },
            )
        },
    ];
    Arc::new(Space::new(axes).unwrap())
}

fn init(seed: u64) -> SearchInit<'static> {
    SearchInit {
        space: space(),
        seed,
        objectives: 1,
        trials: None,
        installed: None,
    }
}

fn points(settings: &Json, seed: u64) -> Vec<String> {
    let trials = run(&ENTRY, settings, &init(seed), 4, 10_000, |_| None);
    trials
        .iter()
        .map(|t| t.candidate.point.to_json().to_string())
        .collect()
}

#[test]
fn every_combination_of_active_axes_comes_once_in_any_order() {
    let sequential = points(&json!({"order": "sequential"}), 1);
    let all: BTreeSet<_> = sequential.iter().cloned().collect();
    assert_eq!(all.len(), sequential.len());
    // Rates 1e-4, 1e-3, 1e-2, 0.1, 1: sgd has momentum at the last two; adam has four warm-ups at each; none stands alone.
    assert_eq!(all.len(), (3 + 2 * 5) + 5 * 4 + 1);
    for seed in [1, 2] {
        let shuffled = points(&Json::Null, seed);
        assert_ne!(shuffled, sequential);
        assert_eq!(shuffled.len(), all.len());
        assert_eq!(shuffled.into_iter().collect::<BTreeSet<_>>(), all);
    }
    assert_ne!(points(&Json::Null, 1), points(&Json::Null, 2));
    assert_eq!(sequential, points(&json!({"order": "sequential"}), 2));
}

#[test]
fn single_axes_have_levels_of_their_own() {
    let settings = json!({"levels": 2, "axes": {"lr": 1, "warm": 2}});
    let found: BTreeSet<_> = points(&settings, 3).into_iter().collect();
    // At 0.01 sgd has no momentum.
    let wanted = [
        r#"{"lr":0.01,"rule":"adam","warm":0}"#,
        r#"{"lr":0.01,"rule":"adam","warm":3}"#,
        r#"{"lr":0.01,"rule":"sgd"}"#,
        r#"{"rule":"none"}"#,
    ];
    // The middle by ratio, but for its last bits.
    let round = |text: &String| text.replace("0.010000000000000005", "0.01");
    assert_eq!(found.iter().map(round).collect::<Vec<_>>(), wanted);
}

#[test]
fn a_huge_grid_is_not_laid_out() {
    let axes = (0..60).map(|i| {
        Axis::new(
            format!("x{i}"),
            Domain::Int {
                low: i64::MIN,
                high: i64::MAX,
                log: false,
                step: 1,
            },
        )
    });
    let init = SearchInit {
        space: Arc::new(Space::new(axes.collect()).unwrap()),
        ..init(1)
    };
    for order in ["sequential", "shuffled"] {
        let trials = run(&ENTRY, &json!({"order": order}), &init, 4, 500, |_| None);
        assert_eq!(trials.len(), 500);
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let refused = |settings: Json| match make(&ENTRY, &settings, &init(1)) {
        Ok(_) => panic!("{settings} is accepted"),
        Err(error) => error.to_string(),
    };
    assert!(refused(json!({"levels": 0})).contains("`levels` must be in 1..=1000, found 0"));
    assert!(refused(json!({"axes": {"lr": 1001}})).contains("`lr` must be"));
    let unknown = refused(json!({"axes": {"rate": 3}}));
    assert!(
        unknown.contains("no axis `rate`; there are lr, momentum, warm"),
        "{unknown}"
    );
    let choice = refused(json!({"axes": {"rule": 2}}));
    assert!(choice.contains("`rule` is a choice"), "{choice}");
}
