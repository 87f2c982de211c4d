//! Properties of evaluators.
//!
//! They evaluate points of a [`Case`]: an entry with the settings it needs, over its own axes or others.
//!
//! Time decides nothing here, so volatile metrics are compared with nothing.

mod artefacts;
mod case;
mod outcomes;
mod running;
mod settings;

pub use artefacts::{a_model_is_left_where_promised, what_is_left_has_a_plain_name};
pub use case::{Case, Evaluated, Kept};
pub use outcomes::{
    metrics_are_as_declared, no_point_makes_it_panic, the_same_candidate_gives_the_same_outcome,
    threads_change_nothing, volatile_metrics_are_measured_where_the_goal_reads_them,
};
pub use running::{
    cancelling_returns_promptly, fidelity_saves_where_promised, reports_rise_where_promised,
    stopping_is_honoured_where_promised, what_earlier_stages_kept_is_only_a_short_cut,
};
pub use settings::{
    info_is_complete, its_own_axes_can_be_searched, listed_defaults_are_the_defaults,
    wrong_settings_are_refused,
};

/// A property: panics where it does not hold.
pub type Property = fn(&Case);

/// Lists the properties once, for [`PROPERTIES`] and for the macro.
macro_rules! properties {
    ($dollar:tt $($name:ident)*) => {
        /// All properties with their names.
        pub const PROPERTIES: &[(&str, Property)] = &[$((stringify!($name), $name)),*];

        /// Makes one named test of every property of evaluators:
        /// `evaluator_conformance!(Case::new(&my_crate::ENTRY, json!({"data": "rows.csv"})));`. A module around it keeps several apart.
        #[macro_export]
        macro_rules! evaluator_conformance {
            ($dollar case:expr) => {
                $(
                    #[test]
                    fn $name() {
                        $crate::evaluator::$name(&$dollar case);
                    }
                )*
            };
        }
    };
}

properties! { $
    metrics_are_as_declared
    volatile_metrics_are_measured_where_the_goal_reads_them
    the_same_candidate_gives_the_same_outcome
    threads_change_nothing
    no_point_makes_it_panic
    reports_rise_where_promised
    stopping_is_honoured_where_promised
    cancelling_returns_promptly
    fidelity_saves_where_promised
    what_earlier_stages_kept_is_only_a_short_cut
    what_is_left_has_a_plain_name
    a_model_is_left_where_promised
    its_own_axes_can_be_searched
    info_is_complete
    wrong_settings_are_refused
    listed_defaults_are_the_defaults
}
