//! The properties every evaluator keeps.

use std::path::Path;

use lapidary_testkit::Json;
use lapidary_testkit::evaluator::Case;

/// The evaluator on a table of patients; the family that its model is of is installed too.
fn ridge() -> Case {
    let table = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("tests/data/diabetes.csv"))
        .find(|table| table.is_file())
        .expect("the example stands in a checkout");
    let table = table.display().to_string();
    let settings = Json::from_iter([("data".to_owned(), Json::from(table))]);
    Case::new(&ridge::ENTRY, settings).with(lapidary_zoo::ENTRIES)
}

lapidary_testkit::evaluator_conformance!(ridge());
