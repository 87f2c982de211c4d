//! Settings of genetic search.

use serde::{Deserialize, Serialize};

use crate::error::GeneticError;

/// Settings, as in the study file's table `[strategy]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Number of points that survive; where `None`, 20 for one objective and 40 for several.
    pub population: Option<usize>,
    /// Points drawn for each parent.
    pub tournament: usize,
    /// How often a child has two parents.
    pub crossover_rate: f64,
    /// Distribution index of simulated binary crossover.
    pub crossover_eta: f64,
    /// How often each axis of a child is mutated; where `None`, 1 / axes.
    pub mutation_rate: Option<f64>,
    /// Distribution index of polynomial mutation.
    pub mutation_eta: f64,
}

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
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// When a setting is out of its bounds.
    pub fn check(&self) -> Result<(), GeneticError> {
        for (name, least, value) in [
            ("population", 4, self.population.unwrap_or(4)),
            ("tournament", 1, self.tournament),
        ] {
            if value < least || value > 1_000_000 {
                return Err(GeneticError::Count { name, least, value });
            }
        }
        for (name, value) in [
            ("crossover_rate", self.crossover_rate),
            ("mutation_rate", self.mutation_rate.unwrap_or(0.0)),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(GeneticError::Rate { name, value });
            }
        }
        for (name, value) in [
            ("crossover_eta", self.crossover_eta),
            ("mutation_eta", self.mutation_eta),
        ] {
            if !(0.0..=1e6).contains(&value) {
                return Err(GeneticError::Eta { name, value });
            }
        }
        Ok(())
    }

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
        assert_eq!(Config::default().check(), Ok(()));
        let text = |config: Config| config.check().unwrap_err().to_string();
        let default = Config::default();
        assert!(
            text(Config {
                population: Some(3),
                ..default
            })
            .contains("`population` = 3")
        );
        assert!(
            text(Config {
                mutation_rate: Some(1.5),
                ..default
            })
            .contains("`mutation_rate` = 1.5")
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
