//! What is listed, what is found at link time and what is documented are one set.

use std::collections::BTreeSet;

use lapidary_core::inventory;
use lapidary_core::registry::{Kind, Linked, Origin, Registry};
use lapidary_strategies::ENTRIES;

#[test]
fn listed_linked_and_literal_names_are_the_same() {
    let names = ["adaptive", "genetic", "greedy", "grid", "halving", "random"];
    let listed: Vec<&str> = ENTRIES.iter().map(|e| e.info.name).collect();
    assert_eq!(listed, names);
    let linked: BTreeSet<&str> = inventory::iter::<Linked>
        .into_iter()
        .filter(|l| l.0.kind() == Kind::Searcher)
        .map(|l| l.0.info.name)
        .collect();
    assert_eq!(linked, BTreeSet::from(names));
    let registry = Registry::new(ENTRIES).unwrap();
    let installed: Vec<_> = registry
        .entries()
        .map(|(e, origin)| (e.info.name, origin))
        .collect();
    assert_eq!(installed, names.map(|name| (name, Origin::Builtin)));
}
