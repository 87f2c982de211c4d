//! The properties every evaluator keeps.

use lapidary_testkit::Json;
use lapidary_testkit::evaluator::Case;

/// The evaluator on a table of patients; the family that its model is of is installed too.
fn ridge() -> Case {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/diabetes.csv");
    let settings = Json::from_iter([("data".to_owned(), Json::from(table))]);
    Case::new(&ridge::ENTRY, settings).with(lapidary_zoo::ENTRIES)
}

lapidary_testkit::evaluator_conformance!(ridge());
