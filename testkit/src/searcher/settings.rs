//! Settings of searchers and what is said about them.

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, Promise};

use super::world::{Driver, World, continuum, essence};

/// Name, summary, docs and settings are all there, and the promises are a searcher's.
pub fn info_is_complete(entry: &Entry) {
    crate::info::is_complete(&entry.info);
    for promise in entry.info.promises {
        assert!(
            matches!(
                promise,
                Promise::LearnsFromForeign | Promise::NeverRepeats | Promise::Ends
            ),
            "{promise:?} is not a searcher's promise"
        );
    }
}

/// Settings that are unknown or of another type are refused, with the names that there are.
pub fn wrong_settings_are_refused(entry: &Entry) {
    let world = World::smooth(continuum());
    let refused = |settings: Json| match world.build(entry, &settings) {
        Ok(_) => panic!("{settings} was accepted"),
        Err(BuildError::Settings { known, .. }) => {
            let listed = entry.info.settings.names();
            assert_eq!(known, listed, "{settings}: the names it gives");
        }
        Err(other) => panic!("{settings}: {other}"),
    };
    refused(serde_json::json!({"no_such_setting": 1}));
    refused(serde_json::json!(["a list"]));
    for name in entry.info.settings.names() {
        refused(serde_json::json!({ name: {"not": ["a", "value"]} }));
    }
}

/// No settings, `{}` and all settings at their listed defaults are the same.
pub fn listed_defaults_are_the_defaults(entry: &Entry) {
    let world = World::smooth(continuum());
    let all = crate::info::defaults(&entry.info);
    let run = |settings: &Json| {
        let mut driver = Driver::new(entry, &world);
        driver.searcher = world
            .build(entry, settings)
            .unwrap_or_else(|e| panic!("{settings}: {e}"));
        let asked: Vec<_> = driver.play(150).iter().map(essence).collect();
        (asked, driver.snapshot())
    };
    let default = run(&Json::Null);
    assert_eq!(default, run(&serde_json::json!({})), "null and {{}}");
    assert_eq!(default, run(&all.clone().into()), "{}", Json::from(all));
}
