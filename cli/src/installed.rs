//! What is installed: the entries of all facades.

use lapidary_core::registry::Registry;

use crate::failure::Failure;

/// All searchers, optimizers and families.
pub fn registry() -> Result<Registry, Failure> {
    let listed = [
        lapidary_strategies::ENTRIES,
        lapidary_optimizers::ENTRIES,
        lapidary_zoo::ENTRIES,
    ]
    .concat();
    Registry::new(&listed).map_err(Failure::work)
}
