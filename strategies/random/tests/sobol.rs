//! The properties hold for the quasi-random sequence as well.

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, Factory, SearchInit};
use lapidary_core::searcher::Searcher;
use lapidary_testkit::searcher::PROPERTIES;

fn build(settings: &Json, init: &SearchInit) -> Result<Box<dyn Searcher>, BuildError> {
    let Factory::Searcher(make) = lapidary_random::ENTRY.factory else {
        unreachable!("it is a searcher")
    };
    assert!(
        settings.is_null(),
        "the properties of settings are tested with the defaults"
    );
    make(&serde_json::json!({"sampling": "sobol"}), init)
}

#[test]
fn all_properties_of_the_sequence() {
    let entry = Entry {
        factory: Factory::Searcher(&build),
        ..lapidary_random::ENTRY
    };
    for (name, property) in PROPERTIES {
        if !name.contains("setting") && !name.contains("defaults") {
            property(&entry);
        }
    }
}
