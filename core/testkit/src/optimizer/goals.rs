//! Goals: what an optimizer does when some results are not good enough.

use lapidary_core::json::Json;
use lapidary_core::registry::Entry;

use super::world::{World, file, models};

/// A model that meets the goal is not replaced by one that does not. The goals here are hard: to be no smaller, and to
/// be as accurate as random weights happen to be.
pub fn goals_that_are_met_stay_met(entry: &Entry, settings: &Json) {
    let world = World::digits();
    for (name, model) in &models()[..2] {
        let bytes = file(model.as_ref()).len() as f64;
        let as_large = |m: &lapidary_core::trial::Metrics| m["bytes"] >= bytes;
        let result = world.run_with(entry, settings, model.as_ref(), &as_large);
        let result = result.unwrap_or_else(|e| panic!("{name}: {e}"));
        let counted = result.model.file_bytes().expect("the model can be written");
        assert!(
            counted as f64 >= bytes,
            "{name}: {counted} bytes where the goal was {bytes} or more"
        );
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
