//! Properties of optimizers.
//!
//! They run an optimizer on small models of the zoo over the bundled digits, and on graphs made by hand. What an entry
//! promises ([`Promise`](lapidary_core::registry::Promise)) is checked without training samples, as training changes
//! what is kept.

mod goals;
mod hostile;
mod promises;
mod results;
mod settings;
mod students;
mod world;

pub use goals::{goals_nobody_meets_come_to_an_end, goals_that_are_met_stay_met};
pub use hostile::{
    cancelling_returns_promptly, extreme_weights_work, missing_samples_are_named_or_not_needed,
    weights_that_are_not_finite_are_named,
};
pub use promises::{
    a_second_time_changes_nothing_where_promised, kept_weights_keep_their_bits_where_promised,
    no_kept_weight_is_smaller_than_a_removed_one_where_promised,
    weights_are_rounded_to_nearest_where_promised,
};
pub use results::{
    bytes_counted_are_bytes_written, outputs_are_finite, seeds_decide_and_threads_do_not,
    the_input_is_not_changed, the_signature_stays,
};
pub use settings::{
    listed_defaults_are_the_defaults, the_entry_is_complete, wrong_settings_are_refused,
};
pub use students::students_are_smaller_and_learn_from_their_teacher;
pub(crate) use world::models;
pub use world::{World, accuracy, digits, family, trained};

use lapidary_core::json::Json;
use lapidary_core::registry::Entry;

/// A property of an optimizer with settings: panics where it does not hold.
pub type Property = fn(&Entry, &Json);

/// Lists the properties once, for [`PROPERTIES`] and for the macro.
macro_rules! properties {
    ($dollar:tt $($name:ident)*) => {
        /// All properties with their names.
        pub const PROPERTIES: &[(&str, Property)] = &[$((stringify!($name), $name)),*];

        /// Makes one named test of every property of optimizers: `optimizer_conformance!(my_crate::ENTRY);`, with
        /// settings as JSON where others than the defaults are meant. A module around it keeps several apart.
        #[macro_export]
        macro_rules! optimizer_conformance {
            ($dollar entry:expr) => {
                $crate::optimizer_conformance!($dollar entry, $crate::Json::Null);
            };
            ($dollar entry:expr, $dollar settings:expr) => {
                $(
                    #[test]
                    fn $name() {
                        $crate::optimizer::$name(&$dollar entry, &$dollar settings);
                    }
                )*
            };
        }
    };
}

properties! { $
    the_signature_stays
    outputs_are_finite
    the_input_is_not_changed
    bytes_counted_are_bytes_written
    seeds_decide_and_threads_do_not
    weights_that_are_not_finite_are_named
    extreme_weights_work
    missing_samples_are_named_or_not_needed
    cancelling_returns_promptly
    goals_that_are_met_stay_met
    goals_nobody_meets_come_to_an_end
    a_second_time_changes_nothing_where_promised
    weights_are_rounded_to_nearest_where_promised
    kept_weights_keep_their_bits_where_promised
    no_kept_weight_is_smaller_than_a_removed_one_where_promised
    the_entry_is_complete
    wrong_settings_are_refused
    listed_defaults_are_the_defaults
}
