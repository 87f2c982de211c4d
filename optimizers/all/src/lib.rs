//! The optimizers built into Lapidary, one line each.
//!
//! The list keeps the linker from dropping crates that nothing else references; the registry joins it with what is
//! submitted at link time.

use lapidary_core::registry::Entry;

/// Entries of all optimizers.
pub static ENTRIES: &[&Entry] = &[
    &lapidary_distill::ENTRY,
    &lapidary_prune::ENTRY,
    &lapidary_quantize::ENTRY,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lapidary_core::inventory;
    use lapidary_core::registry::{Kind, Linked, Registry};

    use super::*;

    #[test]
    fn listed_and_submitted_optimizers_are_the_ones_there_are() {
        let listed: BTreeSet<&str> = ENTRIES.iter().map(|e| e.info.name).collect();
        let submitted: BTreeSet<&str> = (inventory::iter::<Linked>.into_iter())
            .filter(|linked| linked.0.kind() == Kind::Optimizer)
            .map(|linked| linked.0.info.name)
            .collect();
        assert_eq!(listed, BTreeSet::from(["distill", "prune", "quantize"]));
        assert_eq!(listed, submitted);
        assert_eq!(
            Registry::new(ENTRIES).unwrap().entries().count(),
            listed.len()
        );
    }
}
