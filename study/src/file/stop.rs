//! The table `[stop]`: when running trials are stopped.

use lapidary_core::goal::{Goal, Objective};
use lapidary_core::stop::{Rule, StopRule};
use lapidary_core::text::{did_you_mean, listed};

use super::section::{MedianStop, PatienceStop, PercentileStop};
use super::tree::{FromItem, Item, Table};
use crate::error::StudyFileError;

/// Reads the table `[stop]`, whose keys depend on its `rule`.
pub(super) fn read_stop(table: &Table, goal: &Goal) -> Result<StopRule, StudyFileError> {
    const RULES: [&str; 3] = ["median", "percentile", "patience"];
    let name: String = table.required("rule", "rule = \"median\"")?;
    let (rule, warmup) = match name.as_str() {
        "median" => {
            let MedianStop {
                min_trials, warmup, ..
            } = table.typed()?;
            (Rule::Median { min_trials }, warmup)
        }
        "percentile" => {
            let PercentileStop {
                percentile,
                min_trials,
                warmup,
                ..
            } = table.typed()?;
            let rule = Rule::Percentile {
                percentile,
                min_trials,
            };
            (rule, warmup)
        }
        "patience" => {
            let PatienceStop {
                patience, warmup, ..
            } = table.typed()?;
            (Rule::Patience { steps: patience }, warmup)
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
        warmup,
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
