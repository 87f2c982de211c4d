//! The study file: a TOML document that says what to search, how, for how long and for what.
//!
//! Every mistake is reported with the file, line and column where it stands and with what would have worked.

mod axis;
mod evaluate;
mod place;
mod runtime;
pub(crate) mod section;
mod stop;
pub(crate) mod tree;
mod typed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lapidary_core::budget::{Budget, Limits};
use lapidary_core::evaluator::MetricInfo;
use lapidary_core::goal::{Constraint, Direction, Goal, GoalError, Objective};
use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Promise, Registry};
use lapidary_core::settings::Schema;
use lapidary_core::space::{Axis, Point, Space, SpaceError};
use lapidary_core::stop::StopRule;
use lapidary_core::study::Study;
use lapidary_core::text::{did_you_mean, listed};

pub use self::evaluate::Evaluate;
pub(crate) use self::evaluate::{KIND, kinds, promising};
pub use self::place::Place;
pub use self::runtime::RuntimeSection;
use self::section::{BudgetSection, DEFAULT_STRATEGY, Document, GoalSection, StudySection};

use self::tree::{FromItem, Item, Table};
use crate::error::StudyFileError;
use crate::identity::Identity;
use crate::process;

/// What the command line adds to a study file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Strategy to use; where the file names another one, the file's strategy settings do not apply to it and are dropped.
    pub strategy: Option<String>,
    /// `key=value` texts, applied in order. A bare key is a setting of the strategy, a dotted one any value of the file
    /// (`budget.trials=20`). The value is TOML, or else a text. Paths count from the working directory, not from the file.
    pub set: Vec<String>,
}

/// A study as its file and the command line describe it.
#[derive(Debug, Clone)]
pub struct StudyFile {
    /// The file.
    pub path: PathBuf,
    /// Name of the study; the file's name without ending by default.
    pub name: String,
    /// Seed of the searcher and all evaluations.
    pub seed: u64,
    /// Name of the search strategy.
    pub strategy: String,
    /// The strategy's settings, an object; the registry checks them.
    pub settings: Json,
    /// Trials that may be open at once.
    pub window: usize,
    /// Whether repeated points are evaluated again.
    pub repeats: bool,
    /// What may be spent.
    pub budget: Budget,
    /// Threads that an evaluation may use; all of the machine's by default.
    pub threads: Option<usize>,
    /// What a single trial may take.
    pub limits: Limits,
    /// What is good.
    pub goal: Goal,
    /// What to evaluate; a session needs none.
    pub evaluate: Option<Evaluate>,
    /// What runs the models when they are measured.
    pub runtime: RuntimeSection,
    /// Where to search.
    pub space: Arc<Space>,
    /// Points to evaluate first.
    pub start: Vec<Point>,
    /// When to stop running trials.
    pub stop: Option<StopRule>,
    /// Where the goal's metrics are named, for mistakes only an evaluator can see.
    metrics: Vec<(String, Place)>,
    /// The whole document, for the same reason.
    document: Table,
    /// The file's text and what the command line adds, for a process that reads it again.
    written: (Arc<str>, Overrides),
}

impl StudyFile {
    /// Reads the study file at `path`, whose evaluator is one of the `registry`.
    ///
    /// # Errors
    /// When the file cannot be read or has a mistake; the error says where and what would have worked.
    pub fn load(
        path: &Path,
        overrides: &Overrides,
        registry: &Registry,
    ) -> Result<Self, StudyFileError> {
        let text = std::fs::read_to_string(path).map_err(|source| StudyFileError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(path, &text, overrides, registry)
    }

    /// Reads `text` as the study file at `path`, which need not exist.
    ///
    /// # Errors
    /// When there is a mistake; the error says where and what would have worked.
    pub fn parse(
        path: &Path,
        text: &str,
        overrides: &Overrides,
        registry: &Registry,
    ) -> Result<Self, StudyFileError> {
        let mut document = Table::parse(path, text)?;
        overrides.apply(&mut document)?;
        let written = (text.into(), overrides.clone());
        Self::from_document(path, document, written, registry)
    }

    fn from_document(
        path: &Path,
        document: Table,
        written: (Arc<str>, Overrides),
        registry: &Registry,
    ) -> Result<Self, StudyFileError> {
        document.check_keys(&Schema::of::<Document>().names())?;
        let empty = Table::empty(document.place.clone());
        let section = |name: &str| document.table(name).map(|t| t.unwrap_or(&empty));

        let study: StudySection = section("study")?.typed()?;
        let budget: BudgetSection = section("budget")?.typed()?;
        if let Some(item) = section("budget")?.get("memory")
            && !process::tree::is_seen()
        {
            return Err(item.mistake("this machine does not show the memory of processes (/proc)"));
        }
        let (goal, metrics) = read_goal(document.table("goal")?.ok_or_else(|| {
            StudyFileError::at(
                &document.place,
                "[goal] is missing; write for example [goal] maximize = [\"accuracy\"]",
            )
        })?)?;
        let stop = document.table("stop")?;
        let stop = stop
            .map(|table| stop::read_stop(table, &goal))
            .transpose()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let evaluate = document
            .table("evaluate")?
            .map(|table| Evaluate::read(table, folder, registry))
            .transpose()?;
        let offered = evaluate.as_ref().map(|evaluate| evaluate.axes(registry));
        let offered = offered.transpose()?.unwrap_or_default();
        let runtime = runtime::read_runtime(section("runtime")?, folder)?;
        let space = match document.table("space")? {
            Some(table) => axis::read_space(table)?,
            None => default_space(&document, evaluate.as_ref(), offered)?,
        };
        let start = document
            .get("start")
            .map_or(&[][..], Item::elements)
            .iter()
            .map(|item| read_start(&space, item))
            .collect::<Result<_, StudyFileError>>()?;
        Ok(Self {
            path: path.to_path_buf(),
            name: study.name.unwrap_or_else(|| {
                path.file_stem()
                    .map_or_else(|| "study".into(), |s| s.to_string_lossy().into_owned())
            }),
            seed: study.seed,
            strategy: study.strategy,
            settings: section("strategy")?.to_json(),
            window: study.window,
            repeats: study.repeats,
            budget: Budget {
                trials: budget.trials,
                time: budget.time.map(|time| time.0),
            },
            threads: budget.threads,
            limits: Limits {
                time: budget.trial_time.map(|time| time.0),
                memory: budget.memory.map(|bytes| bytes.0),
            },
            goal,
            evaluate,
            runtime,
            space,
            start,
            stop,
            metrics,
            document,
            written,
        })
    }

    /// The file's text and what the command line adds to it.
    pub(crate) fn written(&self) -> (&str, &Overrides) {
        (&self.written.0, &self.written.1)
    }

    /// The study to run.
    pub fn study(&self) -> Study {
        Study {
            space: self.space.clone(),
            goal: self.goal.clone(),
            budget: self.budget,
            seed: self.seed,
            window: self.window,
            repeats: self.repeats,
            start: self.start.clone(),
            stop: self.stop.clone(),
        }
    }

    /// What makes the study the study it is; the budget may change.
    pub fn identity(&self) -> Identity {
        Identity {
            space: self.space.clone(),
            goal: self.goal.clone(),
            strategy: self.strategy.clone(),
            settings: self.settings.clone(),
            seed: self.seed,
            window: self.window,
            repeats: self.repeats,
            start: self.start.clone(),
            stop: self.stop.clone(),
            evaluate: self
                .document
                .get("evaluate")
                .map_or(Json::Null, Item::to_json),
            runtime: self.runtime.name.clone(),
            plugins: BTreeMap::new(),
        }
    }

    /// What whoever runs the study should know of its space, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        let axes = self.space.axes().iter();
        axes.filter_map(|axis| {
            let last = axis.value_to_json(axis.domain.last_below_high()?);
            Some(format!(
                "axis `{}`: the last value is {last}, as its steps do not divide its range",
                axis.name
            ))
        })
        .collect()
    }

    /// The error that there is nothing to evaluate.
    pub(crate) fn no_evaluate(&self) -> StudyFileError {
        StudyFileError::at(
            &self.document.place,
            "[evaluate] is missing; write for example [evaluate] kind = \"function\", name = \"sphere\"",
        )
    }

    /// The error of a strategy that could not be made, where it is named.
    pub fn strategy_error(&self, error: &BuildError) -> StudyFileError {
        let named = self.document.table("study").ok().flatten();
        let named = named.and_then(|table| table.get("strategy"));
        let place = named.map_or(&self.document.place, |item| &item.place);
        StudyFileError::at(place, error.to_string())
    }

    /// The error that a strategy saves on evaluations which cost the same at any fidelity.
    pub(crate) fn no_fidelity(&self, registry: &Registry) -> StudyFileError {
        let evaluate = self.evaluate.as_ref();
        StudyFileError::at(
            evaluate.map_or(&self.document.place, Evaluate::kind_place),
            format!(
                "the strategy `{}` evaluates candidates at a share of the cost first, which only the kinds {} can",
                self.strategy,
                listed(&promising(registry, Promise::TakesFidelity))
            ),
        )
    }

    /// The error of an evaluator that could not be made, where in the file it belongs.
    pub(crate) fn placed(&self, error: BuildError) -> StudyFileError {
        match (error, &self.evaluate) {
            (BuildError::Axis { axis, reason, .. }, _) => {
                let space = self.document.table("space").ok().flatten();
                let place = space.and_then(|table| table.key_place(&axis));
                let place = place.or(self.evaluate.as_ref().map(Evaluate::place));
                StudyFileError::at(place.unwrap_or(&self.document.place), reason)
            }
            (BuildError::Runtime(error), _) => {
                StudyFileError::at(&self.runtime.place, error.to_string())
            }
            (error, Some(evaluate)) => evaluate.placed(error),
            (error, None) => StudyFileError::at(&self.document.place, error.to_string()),
        }
    }

    /// Refuses a goal or a stop rule that reads a metric which is not `reported`, the rule also one that is only known at a
    /// trial's end.
    pub(crate) fn check_metrics(
        &self,
        reported: &[MetricInfo],
        registry: &Registry,
    ) -> Result<(), StudyFileError> {
        let names = |infos: &mut dyn Iterator<Item = &MetricInfo>| -> Vec<String> {
            infos.map(|info| info.name.clone()).collect()
        };
        let known = names(&mut reported.iter());
        if let Some((metric, place)) = self.metrics.iter().find(|(m, _)| !known.contains(m)) {
            let hint = did_you_mean(metric, &known);
            let error = GoalError::Unreported {
                metric: metric.clone(),
                known,
            };
            return Err(StudyFileError::at(place, format!("{error}{hint}")));
        }
        let stepwise = names(&mut reported.iter().filter(|info| info.stepwise));
        let compared = self.stop.iter().flat_map(|stop| &stop.metrics);
        let Some(late) = compared.map(|o| &o.metric).find(|m| !stepwise.contains(m)) else {
            return Ok(());
        };
        let stop = self.document.table("stop")?;
        let place = stop.map_or(&self.document.place, |stop| {
            stop.get("metric").map_or(&stop.place, |item| &item.place)
        });
        let reason = if stepwise.is_empty() {
            format!(
                "running trials of this kind report nothing, so no rule can stop them; those of the kinds {} do",
                listed(&promising(registry, Promise::Reports))
            )
        } else {
            format!(
                "`{late}` is only known at a trial's end; running trials report {}: compare the objectives among them, as in \
                 metric = \"{}\"",
                listed(&stepwise),
                stepwise[0]
            )
        };
        Err(StudyFileError::at(place, reason))
    }
}

impl Overrides {
    fn apply(&self, document: &mut Table) -> Result<(), StudyFileError> {
        if let Some(strategy) = &self.strategy {
            let named = document
                .table("study")?
                .and_then(|t| t.read::<String>("strategy").transpose())
                .transpose()?;
            if named.as_deref().unwrap_or(DEFAULT_STRATEGY) != strategy {
                document.remove("strategy");
            }
            let item = Item::text(
                Place::Override(format!("strategy={strategy}").into()),
                strategy,
            );
            set(document, "study.strategy", "study.strategy", item)?;
        }
        for text in &self.set {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| StudyFileError::Override {
                    text: text.clone(),
                    reason: "write key=value, for example budget.trials=20".into(),
                })?;
            let (key, value) = (key.trim(), value.trim());
            let path = if key.contains('.') {
                key.to_owned()
            } else {
                format!("strategy.{key}")
            };
            set(document, &path, text, Item::from_override(text, value))?;
        }
        Ok(())
    }
}

/// The space of a file that has none: of the axes that its evaluator offers.
fn default_space(
    document: &Table,
    evaluate: Option<&Evaluate>,
    offered: Vec<Axis>,
) -> Result<Arc<Space>, StudyFileError> {
    const WRITE: &str = "write for example [space] lr = { float = [1e-4, 0.1], log = true }";
    let Some(evaluate) = evaluate else {
        let reason = format!("[space] is missing; {WRITE}");
        return Err(StudyFileError::at(&document.place, reason));
    };
    let kind = &evaluate.kind;
    if offered.is_empty() {
        let reason =
            format!("[space] is missing, and `{kind}` offers no axes of its own here; {WRITE}");
        return Err(StudyFileError::at(evaluate.place(), reason));
    }
    Space::new(offered).map(Arc::new).map_err(|error| {
        StudyFileError::at(evaluate.place(), format!("the axes of `{kind}`: {error}"))
    })
}

fn set(document: &mut Table, path: &str, text: &str, item: Item) -> Result<(), StudyFileError> {
    let path: Vec<&str> = path.split('.').collect();
    document
        .set(&path, item)
        .map_err(|reason| StudyFileError::Override {
            text: text.to_owned(),
            reason,
        })
}

fn read_start(space: &Arc<Space>, item: &Item) -> Result<Point, StudyFileError> {
    let table = item.as_table()?;
    space.point_from_json(&table.to_json()).map_err(|error| {
        let axis = match &error {
            SpaceError::Unknown { axis, .. }
            | SpaceError::Inactive { axis }
            | SpaceError::Value { axis, .. } => table.key_place(axis),
            _ => None,
        };
        StudyFileError::at(axis.unwrap_or(&item.place), format!("`start`: {error}"))
    })
}

fn read_goal(table: &Table) -> Result<(Goal, Vec<(String, Place)>), StudyFileError> {
    table.check::<GoalSection>()?;
    let mut metrics = Vec::new();
    let mut objectives = Vec::new();
    for (key, direction) in [
        ("maximize", Direction::Maximize),
        ("minimize", Direction::Minimize),
    ] {
        for item in table.get(key).map_or(&[][..], Item::elements) {
            let metric = String::from_item(item)?;
            if metric.trim().is_empty() {
                return Err(item.mistake("a metric has a name, as \"loss\""));
            }
            if objectives.iter().any(|o: &Objective| o.metric == metric) {
                return Err(item.mistake(GoalError::Twice { metric }));
            }
            metrics.push((metric.clone(), item.place.clone()));
            objectives.push(Objective { metric, direction });
        }
    }
    let mut constraints = |key: &str| -> Result<Vec<Constraint>, StudyFileError> {
        let items = table.get(key).map_or(&[][..], Item::elements);
        items
            .iter()
            .map(|item| {
                let constraint = Constraint::parse(&String::from_item(item)?)
                    .map_err(|error| item.mistake(error))?;
                metrics.push((constraint.metric.clone(), item.place.clone()));
                Ok(constraint)
            })
            .collect()
    };
    let (subject_to, stop_at) = (constraints("subject_to")?, constraints("stop_at")?);
    let goal = Goal::new(objectives, subject_to, stop_at)
        .map_err(|error| StudyFileError::at(&table.place, error.to_string()))?;
    Ok((goal, metrics))
}

#[cfg(test)]
mod tests;
