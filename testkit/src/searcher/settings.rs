//! Settings of searchers and what is said about them.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, Promise, SearchInit};
use lapidary_core::settings::Setting;
use lapidary_core::space::{Axis, Domain, Space};

use super::world::{Driver, Manner, World, continuum, essence, make};

/// Name, summary, docs and settings are all there, and the promises are a searcher's.
pub fn info_is_complete(entry: &Entry) {
    crate::info::is_complete(&entry.info);
    for promise in entry.info.promises {
        assert!(
            matches!(
                promise,
                Promise::LearnsFromForeign
                    | Promise::NeverRepeats
                    | Promise::Ends
                    | Promise::IgnoresOutcomes
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

/// Each setting, at some value that it may have, changes what is proposed in some world.
pub fn every_setting_changes_something(entry: &Entry) {
    let worlds = telling_worlds();
    let asked = |settings: &Json, (world, trials): &(World, Option<u64>)| {
        let init = SearchInit {
            space: world.space.clone(),
            seed: world.seed,
            objectives: world.objectives,
            trials: *trials,
            installed: None,
        };
        let mut driver = Driver::new(entry, world);
        driver.searcher = make(entry, settings, &init).ok()?;
        Some(driver.play(200).iter().map(essence).collect::<Vec<_>>())
    };
    let plain: Vec<_> = worlds
        .iter()
        .map(|world| asked(&Json::Null, world))
        .collect();
    let schema = entry.info.settings.json();
    for setting in entry.info.settings.list() {
        // What names other strategies, or is theirs, hangs on what is installed.
        let keywords = &schema["properties"][&setting.name];
        if ["x-entry", "x-settings-of"]
            .iter()
            .any(|word| keywords.get(word).is_some())
        {
            continue;
        }
        let values = alternatives(entry, &setting);
        let changes = |value: &Json| {
            let settings = serde_json::json!({ &setting.name: value });
            let mut compared = worlds.iter().zip(&plain);
            compared
                .any(|(world, plain)| asked(&settings, world).is_some_and(|a| Some(a) != *plain))
        };
        let tried = serde_json::to_string(&values).expect("values are JSON");
        assert!(
            values.iter().any(changes),
            "setting `{}` changes nothing, at none of {tried}",
            setting.name
        );
    }
}

/// Worlds in which settings have something to change, with the number of trials that is told beforehand.
fn telling_worlds() -> Vec<(World, Option<u64>)> {
    let smooth = World::smooth(continuum());
    let choices = (0..3).map(|i| {
        let options = (0..6).map(|n| format!("o{n}").into()).collect();
        Axis::new(format!("x{i}"), Domain::Choice { options })
    });
    let choices = Arc::new(Space::new(choices.collect()).expect("it is a space"));
    let with = |manner, objectives| World {
        manner,
        objectives,
        ..smooth.clone()
    };
    vec![
        (smooth.clone(), None),
        (smooth.clone(), Some(200)),
        (with(Manner::Mixed, 1), None),
        (with(Manner::Smooth, 2), None),
        (World::smooth(choices), None),
        (with(Manner::Equal, 1), None),
    ]
}

/// Values of a setting other than its default.
fn alternatives(entry: &Entry, setting: &Setting) -> Vec<Json> {
    let read = |text: &String| serde_json::from_str::<Json>(text).ok();
    let default = setting.default.as_ref().and_then(read).unwrap_or_default();
    let mut values = vec![Json::from(true), Json::from(false)];
    let example = read(&setting.example);
    // What is said axis by axis names an axis of its own; here they are called `x0` and on.
    if let Some(Json::Object(axes)) = &example {
        let said = axes.values().next().cloned().unwrap_or_default();
        values.push(serde_json::json!({ "x0": said }));
    }
    values.extend(example);
    // Words that the type lists: `one of "a", "b"`.
    let words = setting.kind.split('"').skip(1).step_by(2);
    values.extend(words.map(Json::from));
    let mut numbers = vec![0.0, 0.1, 0.5, 0.9, 1.0, 2.0, 3.0, 7.0, 40.0];
    if let Some(number) = default.as_f64() {
        numbers.extend([number * 0.5, number * 2.0, number - 1.0, number + 1.0]);
    }
    for number in numbers {
        values.push(Json::from(number));
        if number.fract() == 0.0 {
            values.push(Json::from(number as i64));
        }
    }
    let fits = |value: &Json| {
        let settings = serde_json::json!({ &setting.name: value });
        *value != default && entry.info.settings.check(&settings).is_ok()
    };
    values.retain(fits);
    values
}
