//! The properties hold for the other variants as well.

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, Factory, SearchInit};
use lapidary_core::searcher::Searcher;
use lapidary_testkit::searcher::PROPERTIES;

fn build<const HYPERBAND: bool>(
    settings: &Json,
    init: &SearchInit<'_>,
) -> Result<Box<dyn Searcher>, BuildError> {
    let Factory::Searcher(make) = lapidary_halving::ENTRY.factory else {
        unreachable!("it is a searcher")
    };
    assert!(
        settings.is_null(),
        "the properties of settings are tested with the defaults"
    );
    let settings = if HYPERBAND {
        serde_json::json!({"variant": "hyperband"})
    } else {
        serde_json::json!({"variant": "successive", "reduction": 2, "min_fidelity": 0.25})
    };
    make(&settings, init)
}

/// Checks all properties but those of settings, and but those whose names have one of these words in them.
fn check(make: &'static lapidary_core::registry::MakeSearcher, left_out: &[&str]) {
    let entry = Entry {
        factory: Factory::Searcher(make),
        ..lapidary_halving::ENTRY
    };
    for (name, property) in PROPERTIES {
        let left_out = left_out.iter().any(|word| name.contains(word));
        if !left_out && !name.contains("setting") && !name.contains("defaults") {
            property(&entry);
        }
    }
}

#[test]
fn all_properties_of_successive_halving() {
    check(&build::<false>, &[]);
}

#[test]
fn all_properties_of_hyperband() {
    // The bracket that starts in full evaluates what the searcher within draws, here at random.
    check(
        &build::<true>,
        &["better_than_random", "shunned", "learnt_from"],
    );
}
