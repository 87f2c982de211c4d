//! The search strategies built into Lapidary: one line each.

use lapidary_core::registry::Entry;

/// Their entries, by name.
pub static ENTRIES: &[&Entry] = &[
    &lapidary_adaptive::ENTRY,
    &lapidary_genetic::ENTRY,
    &lapidary_greedy::ENTRY,
    &lapidary_grid::ENTRY,
    &lapidary_halving::ENTRY,
    &lapidary_random::ENTRY,
];
