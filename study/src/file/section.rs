//! The tables of a study file. Their keys, types, bounds and defaults are those of the structs here, as settings of strategies
//! are; so are the file's schema and the reference page.

use std::time::Duration;

use lapidary_core::json::Json;
use lapidary_core::schemars::{self, JsonSchema};
use lapidary_core::settings::Settings;
use lapidary_core::units;
use serde::{Deserialize, Serialize};
use serde_json::Map;

/// Name of the strategy where neither file nor command line names one.
pub(crate) const DEFAULT_STRATEGY: &str = "genetic";

/// A study: what to search, how, for how long and for what.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// The study itself.
    #[serde(default)]
    study: StudySection,
    /// Settings of the search strategy.
    #[serde(default)]
    strategy: Map<String, Json>,
    /// Points to evaluate first, each a table of axis = value.
    #[serde(default)]
    start: OneOrMany<Map<String, Json>>,
    /// What may be spent.
    #[serde(default)]
    budget: BudgetSection,
    /// What is good.
    goal: GoalSection,
    /// When to stop running trials.
    stop: Option<StopSection>,
    /// What a trial is; a session needs none.
    evaluate: Option<Map<String, Json>>,
    /// What runs models when they are measured: its name, and its settings.
    runtime: Option<Map<String, Json>>,
    /// Where to search: axes by name. Models and families bring axes of their own where there is none.
    space: Option<Map<String, Json>>,
}

/// `[study]`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StudySection {
    /// Name of the study; by default the file's name without its ending.
    #[schemars(example = &"digits")]
    pub name: Option<String>,
    /// Seed of the searcher and of all evaluations.
    #[schemars(example = 1)]
    pub seed: u64,
    /// Search strategy; its settings stand in the table [strategy].
    #[schemars(example = &"adaptive")]
    pub strategy: String,
    /// Trials that may be open at once. More jobs than this do nothing, and a strategy learns from a trial so many later.
    #[schemars(range(min = 1))]
    pub window: usize,
    /// Whether repeated points are evaluated again, as noisy evaluations want, instead of being answered from the first.
    pub repeats: bool,
}

impl Default for StudySection {
    fn default() -> Self {
        Self {
            name: None,
            seed: 0,
            strategy: DEFAULT_STRATEGY.into(),
            window: 4,
            repeats: false,
        }
    }
}

/// `[budget]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BudgetSection {
    /// Trials to spend, starting points and repeated points among them.
    #[schemars(example = 200)]
    pub trials: Option<u64>,
    /// Time to spend. Trials that run then have a tenth of it more to end, and are dropped after that.
    #[schemars(example = &"10m")]
    pub time: Option<Time>,
    /// Threads that an evaluation may use; by default all of the machine's.
    #[schemars(range(min = 1), example = 2)]
    pub threads: Option<usize>,
    /// Time that a single trial may take; one that takes longer is ended and has failed.
    #[schemars(example = &"60s")]
    pub trial_time: Option<Time>,
    /// Memory that a single trial may take, its child processes included.
    #[schemars(example = &"2GiB")]
    pub memory: Option<Bytes>,
}

/// `[goal]`: at least one objective.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("anyOf" = [{"required": ["maximize"]}, {"required": ["minimize"]}]))]
#[derive(Default)]
pub(crate) struct GoalSection {
    /// Metrics to make large.
    #[schemars(extend("examples" = [["accuracy"]]))]
    maximize: OneOrMany<String>,
    /// Metrics to make small.
    #[schemars(extend("examples" = [["bytes"]]))]
    minimize: OneOrMany<String>,
    /// Constraints that trials should keep.
    #[schemars(extend("examples" = [["accuracy >= 0.9", "bytes <= 200KB"]]))]
    subject_to: OneOrMany<Constraint>,
    /// Constraints that end the study once one trial keeps them all, and those above.
    #[schemars(extend("examples" = [["accuracy >= 0.99"]]))]
    stop_at: OneOrMany<Constraint>,
}

/// `[stop]`, by its rule.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum StopSection {
    Median(MedianStop),
    Percentile(PercentileStop),
    Patience(PatienceStop),
}

/// Stops a trial that is worse than half of the others were at the same step.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MedianStop {
    /// The rule.
    #[schemars(extend("const" = "median"))]
    rule: String,
    /// No trial is stopped before this step.
    #[serde(default)]
    pub warmup: u64,
    /// Objectives to compare; by default all of the goal.
    #[schemars(extend("examples" = [["loss"]]))]
    #[serde(default)]
    metric: Option<OneOrMany<String>>,
    /// Fewer trials to compare with stop none.
    #[schemars(range(min = 1))]
    #[serde(default = "min_trials")]
    pub min_trials: u64,
}

/// Stops a trial that is not among the best at the same step.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PercentileStop {
    /// The rule.
    #[schemars(extend("const" = "percentile"))]
    rule: String,
    /// No trial is stopped before this step.
    #[serde(default)]
    pub warmup: u64,
    /// Objectives to compare; by default all of the goal.
    #[schemars(extend("examples" = [["loss"]]))]
    #[serde(default)]
    metric: Option<OneOrMany<String>>,
    /// Fewer trials to compare with stop none.
    #[schemars(range(min = 1))]
    #[serde(default = "min_trials")]
    pub min_trials: u64,
    /// Only the best so many of a hundred go on.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 100), example = 25)]
    pub percentile: f64,
}

/// Stops a trial that gets no better any more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatienceStop {
    /// The rule.
    #[schemars(extend("const" = "patience"))]
    rule: String,
    /// No trial is stopped before this step.
    #[serde(default)]
    pub warmup: u64,
    /// Objectives to compare; by default all of the goal.
    #[schemars(extend("examples" = [["loss"]]))]
    #[serde(default)]
    metric: Option<OneOrMany<String>>,
    /// Steps without anything better.
    #[schemars(range(min = 1), example = 5)]
    pub patience: u64,
}

fn min_trials() -> u64 {
    5
}

/// An axis of real numbers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FloatAxis {
    /// Lowest and highest value.
    #[schemars(extend("examples" = [[1e-4, 0.1]]))]
    float: [f64; 2],
    /// Whether values are spread by ratio; the lowest is above 0 then.
    #[serde(default)]
    log: bool,
    /// Distance between neighbouring values; by default there is none.
    #[schemars(extend("exclusiveMinimum" = 0), example = 0.05)]
    #[serde(default)]
    step: Option<f64>,
    /// When the axis is there: other axes compared by ==, !=, in [..] and <, joined by `and`.
    #[schemars(example = &"optimizer == sgd")]
    #[serde(default)]
    when: Option<String>,
}

/// An axis of whole numbers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IntAxis {
    /// Lowest and highest value.
    #[schemars(extend("examples" = [[1, 6]]))]
    int: [i64; 2],
    /// Whether values are spread by ratio; the lowest is above 0 then.
    #[serde(default)]
    log: bool,
    /// Distance between neighbouring values.
    #[schemars(range(min = 1), example = 2)]
    #[serde(default = "one")]
    step: i64,
    /// When the axis is there: other axes compared by ==, !=, in [..] and <, joined by `and`.
    #[schemars(example = &"optimizer == sgd")]
    #[serde(default)]
    when: Option<String>,
}

fn one() -> i64 {
    1
}

/// An axis of choices.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChoiceAxis {
    /// The options: texts, numbers, true and false.
    #[schemars(extend("examples" = [["relu", "gelu"]]))]
    choice: OneOrMany<Plain>,
    /// When the axis is there: other axes compared by ==, !=, in [..] and <, joined by `and`.
    #[schemars(example = &"optimizer == sgd")]
    #[serde(default)]
    when: Option<String>,
}

/// What an axis may be; a plain value fixes it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum AxisForm {
    Float(FloatAxis),
    Int(IntAxis),
    Choice(ChoiceAxis),
    Fixed(Plain),
}

/// A text, a number, or true or false.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Plain {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
}

impl Settings for Document {}
impl Settings for StudySection {}
impl Settings for BudgetSection {}
impl Settings for GoalSection {}
impl Settings for MedianStop {}
impl Settings for PercentileStop {}
impl Settings for PatienceStop {}
impl Settings for FloatAxis {}
impl Settings for IntAxis {}
impl Settings for ChoiceAxis {}
impl Settings for AxisForm {}

/// A list, or one value standing for a list of one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// A bound on a metric.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    extend("pattern" = r"^\s*[^\s<>=]+\s*(<=?|>=?)\s*[-+]?[0-9.].*$"),
    extend("x-kind" = "constraint such as \"accuracy >= 0.97\" or \"bytes <= 200KB\"")
)]
pub(crate) struct Constraint(String);

/// A time that lets something happen, as `90s`, `10m` or `1h 30m`; a number counts seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Amount", into = "f64")]
#[schemars(extend("x-kind" = "time such as \"10m\", \"90s\" or \"1h 30m\""))]
pub(crate) struct Time(pub Duration);

/// A number of bytes, with a unit or without.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Amount", into = "f64")]
#[schemars(extend("x-kind" = "number of bytes such as \"2GiB\" or \"300MB\""))]
pub(crate) struct Bytes(pub u64);

/// What amounts are written as.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Amount {
    Number(f64),
    Text(String),
}

impl TryFrom<Amount> for Time {
    type Error = &'static str;

    fn try_from(amount: Amount) -> Result<Self, Self::Error> {
        let time = match amount {
            Amount::Number(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Amount::Text(text) => humantime::parse_duration(&text).ok(),
        };
        match time {
            Some(Duration::ZERO) => Err("more than no time"),
            Some(time) => Ok(Self(time)),
            None => Err("a time such as \"10m\", \"90s\" or \"1h 30m\""),
        }
    }
}

impl TryFrom<Amount> for Bytes {
    type Error = &'static str;

    fn try_from(amount: Amount) -> Result<Self, Self::Error> {
        let bytes = match amount {
            Amount::Number(bytes) => Some(bytes),
            Amount::Text(text) => units::number(&text).ok(),
        };
        match bytes {
            Some(bytes) if (1.0..1e18).contains(&bytes) => Ok(Self(bytes as u64)),
            _ => Err("a number of bytes such as \"2GiB\" or \"300MB\""),
        }
    }
}

impl From<Time> for f64 {
    fn from(time: Time) -> Self {
        time.0.as_secs_f64()
    }
}

impl From<Bytes> for f64 {
    fn from(bytes: Bytes) -> Self {
        bytes.0 as f64
    }
}
