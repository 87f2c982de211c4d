//! The properties every optimizer keeps, and that a teacher helps.

use serde_json::{Value, json};

/// A student smaller than the testkit's models.
fn settings() -> Value {
    json!({"settings": {"depth": 1, "width": 8}, "epochs": 3})
}

lapidary_testkit::optimizer_conformance!(lapidary_distill::ENTRY, settings());

#[test]
fn students_are_smaller_and_learn_from_their_teacher() {
    let student = |alpha: f64| {
        json!({
            "settings": {"depth": 1, "width": 16},
            "epochs": 60,
            "batch": 16,
            "alpha": alpha,
        })
    };
    lapidary_testkit::optimizer::students_are_smaller_and_learn_from_their_teacher(
        &lapidary_distill::ENTRY,
        &student(0.9),
        &student(0.0),
    );
}
