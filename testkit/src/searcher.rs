//! Properties of searchers.

mod learning;
mod progress;
mod proposals;
mod settings;
mod snapshots;
mod uniform;
mod world;

pub use learning::{
    foreign_trials_are_learnt_or_ignored_as_declared, hard_histories_do_not_stop_it,
    wrong_tells_are_errors_that_change_nothing,
};
pub use progress::{
    better_than_random_on_smooth_worlds, draws_are_even_on_the_scale_of_an_axis, every_axis_moves,
    every_objective_is_learnt_from, failed_trials_are_shunned, infeasible_trials_are_shunned,
    long_searches_and_many_objectives_work, own_results_are_learnt_or_ignored_as_declared,
    time_changes_nothing,
};
pub use proposals::{
    asking_at_once_equals_asking_one_by_one, asking_for_none_changes_nothing,
    asks_keep_to_their_number, exhausted_stays_exhausted, extreme_spaces_work,
    ids_are_fresh_and_rise, never_repeats_where_promised, seeds_decide, threads_change_nothing,
    values_are_in_the_space,
};
pub use settings::{
    every_setting_changes_something, info_is_complete, listed_defaults_are_the_defaults,
    wrong_settings_are_refused,
};
pub use snapshots::{
    damaged_snapshots_do_not_panic, foreign_snapshots_are_refused, snapshots_restore_the_sequence,
};
pub use world::{Manner, World, continuum, essence, extremes, make, run, worlds};

use lapidary_core::registry::Entry;

/// A property: panics where it does not hold.
pub type Property = fn(&Entry);

/// Lists the properties once, for [`PROPERTIES`] and for the macro.
macro_rules! properties {
    ($dollar:tt $($name:ident)*) => {
        /// All properties with their names.
        pub const PROPERTIES: &[(&str, Property)] = &[$((stringify!($name), $name)),*];

        /// Makes one named test of every property of searchers: `searcher_conformance!(my_crate::ENTRY);`
        #[macro_export]
        macro_rules! searcher_conformance {
            ($dollar entry:expr) => {
                $(
                    #[test]
                    fn $name() {
                        $crate::searcher::$name(&$dollar entry);
                    }
                )*
            };
        }
    };
}

properties! { $
    values_are_in_the_space
    asks_keep_to_their_number
    ids_are_fresh_and_rise
    asking_for_none_changes_nothing
    asking_at_once_equals_asking_one_by_one
    exhausted_stays_exhausted
    never_repeats_where_promised
    threads_change_nothing
    seeds_decide
    extreme_spaces_work
    foreign_trials_are_learnt_or_ignored_as_declared
    hard_histories_do_not_stop_it
    wrong_tells_are_errors_that_change_nothing
    snapshots_restore_the_sequence
    foreign_snapshots_are_refused
    damaged_snapshots_do_not_panic
    info_is_complete
    wrong_settings_are_refused
    listed_defaults_are_the_defaults
    every_setting_changes_something
    own_results_are_learnt_or_ignored_as_declared
    better_than_random_on_smooth_worlds
    every_objective_is_learnt_from
    failed_trials_are_shunned
    infeasible_trials_are_shunned
    every_axis_moves
    long_searches_and_many_objectives_work
    draws_are_even_on_the_scale_of_an_axis
    time_changes_nothing
}
