//! The column of a table that is to be predicted.

use std::collections::BTreeSet;

use lapidary_core::samples::Targets;
use lapidary_core::tensor::Shared;
use lapidary_core::text::listed;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::kinds::TaskKind;
use crate::table::Table;

/// Whole numbers are classes where they are at most this many,
const MOST_NUMBERED: usize = 50;
/// and come up at least this often on average.
const LEAST_ROWS: usize = 5;
/// The most classes a column may have.
const MAX_CLASSES: usize = 1 << 16;

/// A column to predict and what its cells mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name of the column.
    pub column: String,
    /// What the cells mean.
    pub kind: TargetKind,
}

/// What the cells of a target column mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum TargetKind {
    /// One of these classes, by index.
    Classes(Vec<String>),
    /// A number.
    Value,
}

impl Target {
    /// Looks at `column` of `table`, by default the last. Words are classes, in the order of the alphabet; numbers are
    /// classes, in their order, where they are whole, at most 50 different and each there five times on average; other
    /// numbers are numbers. `task` overrules.
    ///
    /// # Errors
    /// When there is no such column, or a cell is empty or not a number where numbers are wanted.
    pub fn fit(
        table: &Table,
        column: Option<&str>,
        task: Option<TaskKind>,
    ) -> Result<Self, DataError> {
        let name = column.unwrap_or(&table.columns()[table.columns().len() - 1]);
        let column = table.column(name)?;
        let mut words = BTreeSet::new();
        for row in 0..table.len() {
            words.insert(cell(table, row, column)?);
        }
        let numbers: Option<Vec<f64>> = words.iter().map(|w| w.parse().ok()).collect();
        let numbered = numbers.as_ref().is_some_and(|n| {
            n.iter().all(|v| v.fract() == 0.0)
                && n.len() <= MOST_NUMBERED
                && n.len() * LEAST_ROWS <= table.len()
        });
        let classes = match task {
            Some(task) => task == TaskKind::Classification,
            None => numbers.is_none() || numbered,
        };
        let kind = if classes {
            let mut names: Vec<String> = match numbers {
                Some(mut numbers) => {
                    numbers.sort_by(f64::total_cmp);
                    numbers.iter().map(|&n| number(n)).collect()
                }
                None => words
                    .iter()
                    // `yes.` is `yes` with a full stop, where both are there.
                    .filter(|w| {
                        !w.strip_suffix('.')
                            .is_some_and(|plain| words.contains(plain))
                    })
                    .map(ToString::to_string)
                    .collect(),
            };
            names.dedup();
            if names.len() > MAX_CLASSES {
                return Err(DataError::format(
                    table.path(),
                    format!(
                        "column `{name}` has {} classes; is it the target?",
                        names.len()
                    ),
                ));
            }
            TargetKind::Classes(names)
        } else {
            TargetKind::Value
        };
        Ok(Self {
            column: name.to_string(),
            kind,
        })
    }

    /// The targets of all rows of `table`. A class is known by its name, with a full stop behind it or without, or, where
    /// its name is a number, by that number written otherwise.
    ///
    /// # Errors
    /// When the column is missing, or a cell is empty, an unknown class, or not a number where numbers are wanted.
    pub fn read(&self, table: &Table) -> Result<Targets, DataError> {
        let column = table.column(&self.column)?;
        match &self.kind {
            TargetKind::Classes(names) => {
                let labels = (0..table.len())
                    .map(|row| {
                        let text = cell(table, row, column)?;
                        class(names, text).ok_or_else(|| {
                            let reason =
                                format!("`{text}` is no known class; known are {}", listed(names));
                            table.bad_cell(row, column, reason)
                        })
                    })
                    .collect::<Result<_, _>>()?;
                Ok(Targets::Classes {
                    labels,
                    names: names.clone(),
                })
            }
            TargetKind::Value => {
                let mut values = Shared::zeros(ndarray::IxDyn(&[table.len(), 1]));
                for (row, value) in values.iter_mut().enumerate() {
                    let text = cell(table, row, column)?;
                    *value = text
                        .parse::<f32>()
                        .ok()
                        .filter(|v| v.is_finite())
                        .ok_or_else(|| {
                            table.bad_cell(row, column, format!("`{text}` is not a finite number"))
                        })?;
                }
                Ok(Targets::Values(values))
            }
        }
    }
}

/// The text of a target's cell, which must be there.
fn cell(table: &Table, row: usize, column: usize) -> Result<&str, DataError> {
    table
        .known(row, column)
        .ok_or_else(|| table.bad_cell(row, column, "the target is missing".into()))
}

/// The index of the class that `text` names.
fn class(names: &[String], text: &str) -> Option<usize> {
    let find = |text: &str| names.iter().position(|name| name == text);
    find(text)
        .or_else(|| text.strip_suffix('.').and_then(find))
        .or_else(|| find(&number(text.parse().ok()?)))
}

/// A number as the name of a class.
fn number(value: f64) -> String {
    // Adding 0 turns −0 into 0.
    (value + 0.0).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn table(cells: &[&str]) -> Table {
        let text = format!(
            "x,t\n{}",
            cells.iter().map(|c| format!("1,{c}\n")).collect::<String>()
        );
        Table::parse(Path::new("t.csv"), text.as_bytes(), false).unwrap()
    }

    fn labels(target: &Target, cells: &[&str]) -> Result<Vec<usize>, String> {
        match target.read(&table(cells)).map_err(|e| e.to_string())? {
            Targets::Classes { labels, .. } => Ok(labels),
            Targets::Values(_) => panic!("classes expected"),
        }
    }

    #[test]
    fn words_and_few_whole_numbers_are_classes() {
        let kind = |cells: &[&str], task| Target::fit(&table(cells), None, task).unwrap().kind;
        let classes =
            |names: &[&str]| TargetKind::Classes(names.iter().map(ToString::to_string).collect());
        assert_eq!(kind(&["no", "yes", "no"], None), classes(&["no", "yes"]));
        assert_eq!(kind(&["10", "9"].repeat(5), None), classes(&["9", "10"]));
        assert_eq!(
            kind(&["1.0", "1", "-0", "0", "1"].repeat(4), None),
            classes(&["0", "1"])
        );
        assert_eq!(kind(&["10", "9"], None), TargetKind::Value);
        assert_eq!(kind(&["0.5", "1"].repeat(5), None), TargetKind::Value);
        assert_eq!(
            kind(&["10", "9"].repeat(5), Some(TaskKind::Regression)),
            TargetKind::Value
        );
        assert_eq!(
            kind(&["1.5", "2"], Some(TaskKind::Classification)),
            classes(&["1.5", "2"])
        );
    }

    #[test]
    fn a_full_stop_behind_a_known_class_is_dropped_and_only_there() {
        let target = Target::fit(&table(&["<=50K", ">50K"]), None, None).unwrap();
        assert_eq!(labels(&target, &[">50K.", "<=50K"]).unwrap(), [1, 0]);
        assert_eq!(
            labels(&target, &["<=50K", "<50K."]).unwrap_err(),
            "t.csv, line 3, column `t`: `<50K.` is no known class; known are <=50K, >50K"
        );
        let stopped = Target::fit(&table(&["a.", "b."]), None, None).unwrap();
        assert_eq!(labels(&stopped, &["b.", "a."]).unwrap(), [1, 0]);
        let mixed = Target::fit(&table(&["a.", "b", "a"]), None, None).unwrap();
        assert_eq!(labels(&mixed, &["a.", "b.", "a"]).unwrap(), [0, 1, 0]);
    }

    #[test]
    fn numbered_classes_are_known_however_they_are_written() {
        let target = Target::fit(&table(&["0", "1"].repeat(5)), None, None).unwrap();
        assert_eq!(labels(&target, &["1.0", "0", "1e0"]).unwrap(), [1, 0, 1]);
    }

    #[test]
    fn missing_and_infinite_targets_are_named() {
        let fail = |cells: &[&str], task| {
            Target::fit(&table(cells), Some("t"), Some(task))
                .and_then(|t| t.read(&table(cells)))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            fail(&["1", "?"], TaskKind::Regression),
            "t.csv, line 3, column `t`: the target is missing"
        );
        for cell in ["x", "inf", "1e99"] {
            let message = fail(&["1", cell], TaskKind::Regression);
            assert!(message.contains("line 3"), "{message}");
        }
        let message = Target::fit(&table(&["1"]), Some("y"), None)
            .unwrap_err()
            .to_string();
        assert_eq!(message, "t.csv: no column `y`; there are x, t");
    }
}
