//! Goals: what an optimizer does when some results are not good enough.

use lapidary_core::json::Json;
use lapidary_core::registry::Entry;
use lapidary_core::trial::Metrics;

use super::world::{World, models};

/// A model that meets the goal is not replaced by one that does not. The goal here is hard: that no size changes.
pub fn goals_that_are_met_stay_met(entry: &Entry, settings: &Json) {
    let world = World::digits();
    let sizes = |metrics: &Metrics| {
        ["bytes", "params", "macs", "sparsity"].map(|name| metrics[name].to_bits())
    };
    for (name, model) in &models()[..2] {
        let before = sizes(&world.measure(model.as_ref()).expect("the model runs"));
        let result = world.run_with(entry, settings, model.as_ref(), &|m| sizes(m) == before);
        let result = result.unwrap_or_else(|e| panic!("{name}: {e}"));
        let after = world
            .measure(result.model.as_ref())
            .expect("the result runs");
        assert!(sizes(&after) == before, "{name}: not met by {after:?}");
    }
}

/// A goal that nothing meets is no error and does not keep the optimizer for ever.
pub fn goals_nobody_meets_come_to_an_end(entry: &Entry, settings: &Json) {
    let (name, model) = &models()[0];
    let result = World::digits().run_with(entry, settings, model.as_ref(), &|_| false);
    let result = result.unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(
        !result.notes.is_empty(),
        "{name}: the user should know that the goal was not met"
    );
}
