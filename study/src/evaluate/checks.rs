//! Checks that the evaluators of this crate share.

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, EvalInit, Info};
use lapidary_core::rng::Rng;
use lapidary_core::settings::{Checked, Settings};
use lapidary_core::space::Point;
use serde_json::Map;

/// Points tried before a study whose settings fit nothing is refused.
const PROBES: u64 = 8;

/// Reads the settings of a built-in evaluator. Where they are of several structs, serde does not see what is unknown.
pub(super) fn read_settings<T: Settings>(
    info: &Info,
    json: &Json,
) -> Result<Checked<T>, BuildError> {
    let names = info.settings.names();
    let keys = json.as_object().into_iter().flat_map(Map::keys);
    match keys.into_iter().find(|key| !names.contains(key)) {
        Some(key) => Err(info.refuse_at(&[key], format!("`{key}` is no setting"))),
        None => info.read_settings(json),
    }
}

/// Tries `fits` at the middle of the space and a few other points; the first error where no point passes, so that settings
/// that can never work are refused before anything runs.
pub(super) fn probe_points<E>(
    init: &EvalInit<'_>,
    fits: impl Fn(&Point) -> Result<(), E>,
) -> Result<(), E> {
    let Err(first) = fits(&init.space.middle()) else {
        return Ok(());
    };
    let mut rng = Rng::keyed(init.seed, 0, "probe");
    let others = (1..PROBES).any(|_| fits(&init.space.sample(&mut rng)).is_ok());
    if others { Ok(()) } else { Err(first) }
}
