//! Settings of optimizers and what is said about them.

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, Factory, Promise};
use serde_json::json;

use super::world::{World, file, models};

/// Name, summary, docs and settings are all there, and the promises are an optimizer's.
pub fn the_entry_is_complete(entry: &Entry, _: &Json) {
    crate::info::is_complete(&entry.info);
    for promise in entry.info.promises {
        let own = [
            Promise::Idempotent,
            Promise::RoundToNearest,
            Promise::KeepsWeights,
            Promise::Magnitude,
        ];
        assert!(
            own.contains(promise),
            "{promise:?} is not an optimizer's promise"
        );
    }
}

/// Settings that are unknown or of another type are refused, with the names that there are.
pub fn wrong_settings_are_refused(entry: &Entry, _: &Json) {
    let Factory::Optimizer(make) = entry.factory else {
        panic!("`{}` is not an optimizer", entry.info.name);
    };
    let refused = |settings: Json| match make(&settings) {
        Ok(_) => panic!("{settings} was accepted"),
        Err(BuildError::Settings { known, .. }) => {
            let listed = entry.info.settings.names();
            assert_eq!(known, listed, "{settings}: the names it gives");
        }
        Err(other) => panic!("{settings}: {other}"),
    };
    refused(json!({"no_such_setting": 1}));
    refused(json!(["a list"]));
    for name in entry.info.settings.names() {
        refused(json!({ name: [[0]] }));
    }
}

/// No settings, `{}` and all settings at their listed defaults are the same.
pub fn listed_defaults_are_the_defaults(entry: &Entry, _: &Json) {
    let all = crate::info::defaults(&entry.info);
    let (_, model) = &models()[0];
    // An error is an answer as well: it has to be the same one.
    let run = |settings: Json| match World::digits().run(entry, &settings, model.as_ref()) {
        Ok(optimized) => (file(optimized.model.as_ref()), optimized.notes.join("; ")),
        Err(error) => (Vec::new(), error.to_string()),
    };
    let default = run(Json::Null);
    assert!(default == run(json!({})), "null and {{}}");
    assert!(default == run(all.clone().into()), "{}", Json::from(all));
}
