//! Settings of genetic search.

use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use serde::{Deserialize, Serialize};

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Number of points that survive; null is 20 for one objective and 40 for several.
    #[schemars(range(min = 4, max = 1_000_000), example = 30)]
    pub population: Option<usize>,
    /// Points drawn for each parent; the best of them is it.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub tournament: usize,
    /// How often a child has two parents rather than one.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub crossover_rate: f64,
    /// Distribution index of simulated binary crossover: the higher, the closer to the parents.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub crossover_eta: f64,
    /// How often each axis of a child is mutated; null is 1 / axes.
    #[schemars(range(min = 0.0, max = 1.0), example = 0.2)]
    pub mutation_rate: Option<f64>,
    /// Distribution index of polynomial mutation, drawn within a factor of 4 around this: the higher, the smaller the changes.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub mutation_eta: f64,
}

impl Settings for Config {}

impl Default for Config {
    fn default() -> Self {
        Self {
            population: None,
            tournament: 3,
            crossover_rate: 0.9,
            crossover_eta: 15.0,
            mutation_rate: None,
            mutation_eta: 20.0,
        }
    }
}

impl Config {
    /// Number of points that survive, for a number of objectives.
    pub fn size(&self, objectives: usize) -> usize {
        self.population
            .unwrap_or(if objectives == 1 { 20 } else { 40 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked_by_name() {
        assert!(Config::default().check().is_ok());
        let text = |config: Config| config.check().unwrap_err().to_string();
        let default = Config::default();
        assert!(
            text(Config {
                population: Some(3),
                ..default
            })
            .contains("`population` must be in 4..=1000000, found 3")
        );
        assert!(
            text(Config {
                mutation_rate: Some(1.5),
                ..default
            })
            .contains("`mutation_rate` must be in [0, 1], found 1.5")
        );
        assert!(
            text(Config {
                crossover_eta: f64::NAN,
                ..default
            })
            .contains("`crossover_eta`")
        );
    }
}
