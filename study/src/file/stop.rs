//! The table `[stop]`: when running trials are stopped.

use lapidary_core::goal::{Goal, Objective};
use lapidary_core::stop::{Rule, StopRule};
use lapidary_core::text::listed;

use super::tree::{FromItem, Item, Table, did_you_mean};
use crate::error::StudyFileError;

/// Trials that are compared with at least where the file does not say.
const MIN_TRIALS: u64 = 5;

/// Reads the table `[stop]`:
///
/// | key | meaning |
/// |---|---|
/// | `rule` | "median", "percentile" or "patience" |
/// | `warmup` | no trial is stopped before this step; 0 by default |
/// | `min_trials` | median and percentile: fewer trials to compare with stop none; 5 by default |
/// | `percentile` | percentile: only the best so many of a hundred go on |
/// | `patience` | patience: steps without anything better |
/// | `metric` | objectives to compare; all of the goal by default |
pub(super) fn read_stop(table: &Table, goal: &Goal) -> Result<StopRule, StudyFileError> {
    const RULES: [&str; 3] = ["median", "percentile", "patience"];
    let name: String = table.required("rule", "rule = \"median\"")?;
    let mut keys = vec!["rule", "warmup", "metric"];
    let min_trials = |table: &Table| -> Result<u64, StudyFileError> {
        at_least_one(table, "min_trials").map(|n| n.unwrap_or(MIN_TRIALS))
    };
    let rule = match name.as_str() {
        "median" => {
            keys.push("min_trials");
            Rule::Median {
                min_trials: min_trials(table)?,
            }
        }
        "percentile" => {
            keys.extend(["min_trials", "percentile"]);
            let percentile: f64 = table.required("percentile", "percentile = 25")?;
            if !(percentile > 0.0 && percentile < 100.0) {
                let item = table.required_item("percentile", "percentile = 25")?;
                return Err(item.refuse("above 0 and below 100"));
            }
            Rule::Percentile {
                percentile,
                min_trials: min_trials(table)?,
            }
        }
        "patience" => {
            keys.push("patience");
            table.required_item("patience", "patience = 5")?;
            Rule::Patience {
                steps: at_least_one(table, "patience")?.unwrap_or(1),
            }
        }
        other => {
            let item = table.required_item("rule", "rule = \"median\"")?;
            return Err(item.mistake(format!(
                "no rule \"{other}\"{}; there are {}",
                did_you_mean(other, &RULES),
                listed(&RULES)
            )));
        }
    };
    table.check_keys(&keys)?;
    let metrics = match table.get("metric") {
        None => goal.objectives.clone(),
        Some(item) => {
            let named = item.elements().iter().map(|item| objective(item, goal));
            named.collect::<Result<Vec<_>, _>>()?
        }
    };
    if metrics.is_empty() {
        let item = table.required_item("metric", "metric = \"loss\"")?;
        return Err(item.refuse("an objective, or a list of them"));
    }
    Ok(StopRule {
        rule,
        warmup: table.read("warmup")?.unwrap_or(0),
        metrics,
    })
}

/// The goal's objective that `item` names: only of objectives it is known which way they are better.
fn objective(item: &Item, goal: &Goal) -> Result<Objective, StudyFileError> {
    let metric = String::from_item(item)?;
    let known: Vec<&str> = goal.objectives.iter().map(|o| o.metric.as_str()).collect();
    let found = goal.objectives.iter().find(|o| o.metric == metric);
    found.cloned().ok_or_else(|| {
        item.mistake(format!(
            "`{metric}` is no objective of the goal{}; there are {}",
            did_you_mean(&metric, &known),
            listed(&known)
        ))
    })
}

fn at_least_one(table: &Table, key: &str) -> Result<Option<u64>, StudyFileError> {
    let value = table.read(key)?;
    match (value, table.get(key)) {
        (Some(0), Some(item)) => Err(item.refuse("at least 1")),
        _ => Ok(value),
    }
}
