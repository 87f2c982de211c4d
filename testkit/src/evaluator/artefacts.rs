//! What evaluations leave besides their metrics.

use lapidary_core::evaluator::Artefact;
use lapidary_core::registry::Promise;
use lapidary_core::trial::Outcome;

use super::case::{Case, evaluate};

/// Names of artefacts can stand in a file's name: letters, digits, `.`, `-` and `_`.
pub fn what_is_left_has_a_plain_name(case: &Case) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    case.made(|evaluator| {
        for candidate in case.candidates() {
            for name in evaluate(evaluator, &candidate).left.keys() {
                let fits = !name.is_empty() && name.chars().all(plain);
                assert!(fits && !name.starts_with('.'), "artefact {name:?}");
            }
        }
    });
}

/// Where [`Promise::LeavesModel`] is declared, every evaluation that gives metrics leaves a model.
pub fn a_model_is_left_where_promised(case: &Case) {
    let promised = case.entry.promises(Promise::LeavesModel);
    case.made(|evaluator| {
        for candidate in case.candidates() {
            let found = evaluate(evaluator, &candidate);
            let model = found.left.get(Artefact::MODEL);
            if matches!(found.outcome, Outcome::Measured { .. }) {
                let at = candidate.point.to_json();
                assert_eq!(model.is_some(), promised, "the artefact `model` at {at}");
            }
        }
    });
}
