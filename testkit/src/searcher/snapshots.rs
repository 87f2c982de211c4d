//! Snapshots of searchers. Where one takes none, a property holds.

use lapidary_core::json::Json;
use lapidary_core::registry::Entry;
use lapidary_core::searcher::{SearchError, Snapshot};
use proptest::prelude::*;

use super::world::{Driver, check, essence, worlds};

/// A snapshot at any step, sent through JSON text, restores the very sequence.
pub fn snapshots_restore_the_sequence(entry: &Entry) {
    check(48, &(worlds(), 0usize..160), |(world, steps)| {
        let mut original = Driver::new(entry, &world);
        original.play(steps);
        let Some(snapshot) = original.snapshot() else {
            return;
        };
        let text = serde_json::to_string(&snapshot).expect("it is JSON");
        let read: Snapshot = serde_json::from_str(&text).expect("it reads back");
        let mut restored = Driver::new(entry, &world);
        // A searcher that was used before forgets what it was.
        restored.play(5);
        restored.searcher.restore(&read).expect("it restores");
        restored.pending = original.pending.clone();
        assert_eq!(
            restored.snapshot(),
            Some(snapshot),
            "the restored state is another"
        );
        let a: Vec<_> = original.play(40).iter().map(essence).collect();
        let b: Vec<_> = restored.play(40).iter().map(essence).collect();
        assert_eq!(a, b, "after {steps} steps");
    });
}

/// A snapshot of another strategy or version, or of another form, is an error that changes nothing.
pub fn foreign_snapshots_are_refused(entry: &Entry) {
    check(6, &worlds(), |world| {
        let mut driver = Driver::new(entry, &world);
        driver.play(20);
        let Some(own) = driver.snapshot() else {
            return;
        };
        let mut wrong = vec![
            Snapshot {
                strategy: "another".into(),
                ..own.clone()
            },
            Snapshot {
                version: own.version + 1,
                ..own.clone()
            },
        ];
        let rubbish = [
            Json::Null,
            Json::from(7),
            Json::from("state"),
            serde_json::json!([]),
            serde_json::json!({}),
        ];
        wrong.extend(rubbish.into_iter().map(|state| Snapshot {
            state,
            ..own.clone()
        }));
        for snapshot in wrong {
            let error = driver
                .searcher
                .restore(&snapshot)
                .expect_err("it is no snapshot of this searcher");
            assert!(
                matches!(
                    error,
                    SearchError::ForeignSnapshot { .. } | SearchError::MalformedSnapshot { .. }
                ),
                "{error}"
            );
            let now = driver.snapshot();
            assert_eq!(
                now.as_ref(),
                Some(&own),
                "a refused snapshot changed the state"
            );
        }
    });
}

/// A snapshot with one value changed is restored or refused, but brings nothing down; refused, it changes nothing.
pub fn damaged_snapshots_do_not_panic(entry: &Entry) {
    let damage = prop_oneof![
        Just(Json::Null),
        Just(Json::from(-1)),
        Just(Json::from(u64::MAX)),
        Just(Json::from(1e300)),
        Just(Json::from("x")),
        Just(serde_json::json!([])),
    ];
    let case = (worlds(), any::<prop::sample::Index>(), damage);
    check(96, &case, |(world, at, damage)| {
        let mut driver = Driver::new(entry, &world);
        driver.play(30);
        let Some(own) = driver.snapshot() else {
            return;
        };
        let mut damaged = own.clone();
        let places = count_values(&damaged.state);
        *value_at(&mut damaged.state, &mut at.index(places)).expect("there is such a place") =
            damage;
        match driver.searcher.restore(&damaged) {
            Ok(()) => {
                // The trials that were open may be unknown to this state; all else goes on.
                driver.pending.clear();
                for _ in 0..20 {
                    let asked = driver.searcher.ask(1).unwrap_or_default();
                    for candidate in asked {
                        let _ = driver.searcher.tell(&world.trial(&candidate));
                    }
                }
            }
            Err(_) => {
                let now = driver.snapshot();
                assert_eq!(
                    now.as_ref(),
                    Some(&own),
                    "a refused snapshot changed the state"
                );
            }
        }
    });
}

/// Number of values within a JSON value, itself included.
fn count_values(json: &Json) -> usize {
    1 + match json {
        Json::Array(items) => items.iter().map(count_values).sum::<usize>(),
        Json::Object(fields) => fields.values().map(count_values).sum(),
        _ => 0,
    }
}

/// The value `index` steps into the tree, counted depth first.
fn value_at<'a>(json: &'a mut Json, index: &mut usize) -> Option<&'a mut Json> {
    if *index == 0 {
        return Some(json);
    }
    *index -= 1;
    match json {
        Json::Array(items) => items.iter_mut().find_map(|item| value_at(item, index)),
        Json::Object(fields) => fields.values_mut().find_map(|item| value_at(item, index)),
        _ => None,
    }
}
