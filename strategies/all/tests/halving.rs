//! Halving works around every other strategy: the properties of searchers hold for each pair.

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, Factory, Promise, Registry, SearchInit};
use lapidary_core::searcher::Searcher;
use lapidary_strategies::ENTRIES;
use lapidary_testkit::searcher::PROPERTIES;

/// Names of the inner strategies; each is checked in its own function, since a factory is one.
const INNER: [&str; 5] = ["adaptive", "genetic", "greedy", "grid", "random"];

fn build<const INDEX: usize>(
    settings: &Json,
    init: &SearchInit<'_>,
) -> Result<Box<dyn Searcher>, BuildError> {
    assert!(
        settings.is_null(),
        "settings are tested in the crate itself"
    );
    let registry = Registry::new(ENTRIES).expect("names are unique");
    registry.searcher(
        "halving",
        &serde_json::json!({"searcher": INNER[INDEX]}),
        init,
    )
}

fn check<const INDEX: usize>() {
    let name = INNER[INDEX];
    let inner = ENTRIES
        .iter()
        .find(|e| e.info.name == name)
        .expect("it is installed");
    // What halving passes on: learning, and the end; points come again at higher fidelities.
    let promises: &'static [Promise] = match (
        inner.promises(Promise::LearnsFromForeign),
        inner.promises(Promise::Ends),
    ) {
        (true, _) => &[Promise::LearnsFromForeign],
        (_, true) => &[Promise::Ends],
        _ => &[],
    };
    let halving = lapidary_strategies::ENTRIES
        .iter()
        .find(|e| e.info.name == "halving")
        .expect("it is installed");
    let mut info = halving.info;
    info.promises = promises;
    let entry = Entry {
        info,
        factory: Factory::Searcher(&build::<INDEX>),
    };
    for (property, holds) in PROPERTIES {
        if !property.contains("settings") && !property.contains("defaults") {
            println!("{property} around {name}");
            holds(&entry);
        }
    }
}

#[test]
fn around_adaptive() {
    check::<0>();
}

#[test]
fn around_genetic() {
    check::<1>();
}

#[test]
fn around_greedy() {
    check::<2>();
}

#[test]
fn around_grid() {
    check::<3>();
}

#[test]
fn around_random() {
    check::<4>();
}

#[test]
fn every_strategy_but_halving_is_among_them() {
    let others = ENTRIES
        .iter()
        .map(|e| e.info.name)
        .filter(|n| *n != "halving");
    assert_eq!(others.collect::<Vec<_>>(), INNER);
}
