//! Settings of evaluators, their own axes, and what is said about them.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Promise};
use lapidary_core::rng::Rng;
use lapidary_core::space::Space;
use lapidary_core::trial::{Candidate, Outcome};
use serde_json::{Map, json};

use super::case::{Case, evaluate};

/// Points of the evaluator's own axes, of which one at least has to be measured.
const DRAWN: u64 = 8;

/// Name, summary, docs and settings are all there, and the promises are an evaluator's.
pub fn info_is_complete(case: &Case) {
    crate::info::is_complete(&case.entry.info);
    for promise in case.entry.info.promises {
        let own = [
            Promise::TakesFidelity,
            Promise::Reports,
            Promise::LeavesModel,
            Promise::KeepsLimits,
        ];
        assert!(
            own.contains(promise),
            "{promise:?} is not an evaluator's promise"
        );
    }
}

/// The settings of the case with others in their place.
fn with(case: &Case, others: &Map<String, Json>) -> Json {
    let mut settings = case.settings.as_object().cloned().unwrap_or_default();
    settings.extend(others.clone());
    settings.into()
}

/// Settings that are unknown, of another type or missing are refused, with the names that there are.
pub fn wrong_settings_are_refused(case: &Case) {
    let listed = case.entry.info.settings.names();
    let refused = |settings: Json| {
        let axes = case.own_axes(&settings).map(|_| ());
        let made = case.with_settings(&settings, &[], Arc::new(()), |made| made.map(|_| ()));
        match axes.and(made) {
            Ok(()) => panic!("{settings} was accepted"),
            Err(BuildError::Settings { known, .. }) => {
                let missing = listed.iter().find(|name| !known.contains(name));
                assert_eq!(missing, None, "{settings}: the names it gives");
            }
            Err(other) => panic!("{settings}: {other}"),
        }
    };
    let one = |name: &str, value: Json| Map::from_iter([(name.to_owned(), value)]);
    refused(with(case, &one("no_such_setting", 1.into())));
    for setting in case.entry.info.settings.list() {
        refused(with(
            case,
            &one(&setting.name, json!({"not": {"a": "value"}})),
        ));
        if setting.default.is_none() {
            let mut settings = case.settings.clone();
            if let Some(settings) = settings.as_object_mut() {
                settings.shift_remove(&setting.name);
            }
            refused(settings);
        }
    }
}

/// Settings that are not given are the same as at their listed defaults.
pub fn listed_defaults_are_the_defaults(case: &Case) {
    let mut all = crate::info::defaults(&case.entry.info);
    // What is an axis cannot be fixed.
    let space = case.space();
    all.retain(|name, _| !space.axes().iter().any(|axis| axis.name == *name));
    all.extend(case.settings.as_object().cloned().unwrap_or_default());
    let run = |settings: &Json| {
        case.with_settings(settings, &case.steady(), Arc::new(()), |made| {
            let evaluator = made.unwrap_or_else(|e| panic!("{settings}: {e}"));
            let candidates = case.candidates();
            let all = candidates.iter().map(|c| evaluate(evaluator, c));
            all.collect::<Vec<_>>()
        })
    };
    let given = run(&case.settings);
    for (one, two) in given.iter().zip(run(&all.into())) {
        case.assert_same(one, &two, "as given, and with all defaults");
    }
}

/// The axes that the evaluator offers make a space, and not every point of it fails.
pub fn its_own_axes_can_be_searched(case: &Case) {
    let axes = case.own_axes(&case.settings);
    let axes = axes.unwrap_or_else(|e| panic!("{}: {e}", case.settings));
    if axes.is_empty() {
        return;
    }
    let space = Arc::new(Space::new(axes.clone()).expect("the axes make a space"));
    let measured = case.clone().over(axes).made(|evaluator| {
        (0..DRAWN).any(|id| {
            let candidate = Candidate {
                id,
                point: space.sample(&mut Rng::keyed(7, id, "own axes")),
                fidelity: 1.0,
                parent: None,
            };
            let outcome = evaluate(evaluator, &candidate).outcome;
            matches!(outcome, Outcome::Measured { .. })
        })
    });
    assert!(measured, "none of {DRAWN} points could be measured");
}
