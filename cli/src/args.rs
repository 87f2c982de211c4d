//! The arguments.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use lapidary_core::json::Json;
use lapidary_core::metrics::Metric;
use lapidary_core::registry::{Kind, Registry};
use lapidary_core::runtime::Runtime;
use lapidary_core::units;
use lapidary_data::Part;
use lapidary_study::measure;
use lapidary_study::recipe::MaxDrop;
use serde_json::Map;

use crate::end::Failure;

/// Finds the best model under limited compute and cuts it to fit: ONNX files in, ONNX files out.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 done but the goal was not met, 130 interrupted."
)]
pub struct Args {
    /// Print one JSON document on stdout; everything else goes to stderr.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What a session understands.
const SESSION_LINES: &str = r#"A line in, a line out:
  {"ask": 4}                                        {"candidates": [{"id": 17, "point": {"lr": 0.01}, "fidelity": 1.0}]}
  {"tell": {"id": 17, "metrics": {"loss": 0.3}}}    {"ok": true}
  {"tell": {"id": 17, "failed": "reason"}}          {"ok": true}
  {"report": {"id": 17, "step": 3, "metrics": {}}}  {"stop": false}
  {"best": true}                                    {"best": {"id": 17, "point": {}, "metrics": {}, "feasible": true}}
  {"pending": true}                                 {"pending": [candidates handed out and not answered]}
Numbers that are not finite are "nan", "inf" and "-inf"; a line that cannot be used is answered with {"error": "reason"}.
No more candidates are open at a time than the study's window; where there are none, "end" says that the study is over."#;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Search a small network for the bundled digits, then distill, prune and quantize it.
    Demo(Demo),
    /// List what is installed: search strategies, optimizers, evaluators, families of architectures, file formats, runtimes.
    List(List),
    /// Explain one of what is installed, and its settings.
    Info(Info),
    /// Print the JSON schema of study files or recipes, with which editors complete and check them.
    Schema(Schema),
    /// Show what a model is made of: layers, parameters, bytes, multiply-accumulates.
    Inspect(Inspect),
    /// Measure a model on data.
    Eval(Eval),
    /// Search the space of a study file.
    Search(Search),
    /// Make a smaller or faster model out of a model.
    Optimize(Optimize),
    /// Let a program in any language evaluate a study: ask and tell as JSON lines on stdin and stdout.
    #[command(after_help = SESSION_LINES)]
    Session(Session),
    /// Look at studies in a store, export or remove them.
    #[command(subcommand)]
    Study(Study),
    /// Look at plug-ins: strategies in files of their own.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Print the reference page of the documentation.
    #[command(hide = true)]
    Reference,
    /// Evaluate single trials for another process of this program.
    #[command(hide = true)]
    Worker(PluginArgs),
    /// Run a program for another process of this program, and leave nothing of it behind.
    #[command(hide = true)]
    Guard(Guard),
    /// Run a plug-in for another process of this program.
    #[command(hide = true)]
    PluginProcess(PluginProcess),
}

/// Which plug-ins are installed besides those in the user's folder, and how they run.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Plug-ins")]
pub struct PluginArgs {
    /// Load the plug-in in this file too. May be given several times.
    #[arg(long = "plugin", value_name = "FILE.so")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub running: Running,
}

/// How plug-ins run.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Plug-ins")]
pub struct Running {
    /// Run plug-ins in this very process: faster, but one that crashes takes the program with it.
    #[arg(long)]
    pub in_process: bool,
    /// Time that a plug-in's process may take for one call; an optimizer ten times as long between two words with its host.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "60s")]
    pub plugin_time: Duration,
    /// Memory that a plug-in's process may take.
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4GiB")]
    pub plugin_memory: u64,
}

/// `plugin`.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// List the plug-ins in the user's folder, and why one is refused.
    List(PluginArgs),
    /// Check that a plug-in keeps what every strategy keeps.
    Check(PluginCheck),
    /// Make a project to start a strategy from: it builds, passes its tests and loads.
    New(PluginNew),
}

/// `plugin new`.
#[derive(Debug, clap::Args)]
pub struct PluginNew {
    /// Name of the strategy and of the new folder: lower-case letters, digits, - and _.
    pub name: String,
    /// What it is.
    #[arg(long, value_enum, default_value_t = PluginKind::Searcher)]
    pub kind: PluginKind,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub lang: Language,
    /// Checkout of Lapidary from which a project in Rust takes the crates, as they are not published; by default the one that the
    /// working directory lies in.
    #[arg(long, value_name = "DIR")]
    pub lapidary: Option<PathBuf>,
}

/// What a plug-in is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PluginKind {
    /// A search strategy.
    Searcher,
    /// An optimization method.
    Optimizer,
}

impl PluginKind {
    /// The registry's kind.
    pub fn kind(self) -> Kind {
        match self {
            Self::Searcher => Kind::Searcher,
            Self::Optimizer => Kind::Optimizer,
        }
    }
}

/// What a plug-in is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// A crate, and in it a package that makes the plug-in.
    Rust,
    /// A source with the headers it needs and a Makefile.
    C,
}

/// `plugin check`.
#[derive(Debug, clap::Args)]
pub struct PluginCheck {
    /// The plug-in.
    #[arg(value_name = "FILE.so")]
    pub file: PathBuf,
    /// A setting to check an optimizer with, which has its default otherwise. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub running: Running,
}

/// `plugin-process`.
#[derive(Debug, clap::Args)]
pub struct PluginProcess {
    /// The plug-in.
    pub file: PathBuf,
    /// Bytes of memory it may take.
    pub memory: u64,
}

/// How data is read.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Column to predict, in a table; the last one by default.
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
    /// The table's first line is a row; columns are then named c0, c1 and so on.
    #[arg(long)]
    pub no_header: bool,
    /// Mean of each channel to subtract from images scaled to 0–1, separated by commas.
    #[arg(
        long,
        value_name = "M,…",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub mean: Vec<f32>,
    /// Deviation of each channel to divide images by, after the mean.
    #[arg(long, value_name = "S,…", value_delimiter = ',')]
    pub std: Vec<f32>,
    /// Data of the same kind that is the test part.
    #[arg(long, value_name = "DATA")]
    pub test: Option<PathBuf>,
    /// Seed of the split into parts, where the data has no official one.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub split_seed: u64,
    /// Use the first N samples of each part, in the file's order.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// What runs the models when they are measured.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Runtime")]
pub struct RuntimeArgs {
    /// What runs models when they are measured: rten, built in, or ort, the library of onnxruntime; rten by default.
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,
    /// The library of onnxruntime; by default at ORT_DYLIB_PATH, or of the Python package in the active environment or in ./.venv.
    #[arg(long, value_name = "FILE", requires = "runtime")]
    pub ort_lib: Option<PathBuf>,
    /// Threads of a run; one a core by default.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub threads: Option<usize>,
}

impl RuntimeArgs {
    /// The settings that were given.
    fn settings(&self) -> Map<String, Json> {
        let library = self.ort_lib.as_ref().map(|path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            ("library".to_owned(), path.to_string_lossy().into())
        });
        let threads = self.threads.map(|n| ("threads".to_owned(), n.into()));
        library.into_iter().chain(threads).collect()
    }

    /// The runtime.
    pub fn make(&self, registry: &Registry) -> Result<Box<dyn Runtime>, Failure> {
        let name = self.runtime.as_deref().unwrap_or(measure::RUNTIME);
        let settings = Json::Object(self.settings());
        registry.runtime(name, &settings).map_err(Failure::input)
    }

    /// What is given here as texts for `--set`.
    pub fn overrides(&self) -> Vec<String> {
        let name = self
            .runtime
            .as_ref()
            .map(|name| ("name".to_owned(), name.as_str().into()));
        let all = name.into_iter().chain(self.settings());
        // A JSON text is a TOML text.
        all.map(|(key, value): (String, Json)| format!("runtime.{key}={value}"))
            .collect()
    }
}

/// `demo`.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Folder for the models and the study file.
    #[arg(long, value_name = "DIR", default_value = "lapidary-demo")]
    pub out: PathBuf,
    /// Trials of the search.
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub trials: u64,
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// `inspect`.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// The model's ONNX file.
    pub model: PathBuf,
}

/// `eval`.
#[derive(Debug, clap::Args)]
pub struct Eval {
    /// The model's ONNX file; the encoder of a table is read from MODEL.encoder.json beside it.
    pub model: PathBuf,
    /// `digits`, an .npz, a .csv, a CIFAR .bin, a folder of IDX files, or a folder of images by class.
    #[arg(long)]
    pub data: String,
    /// What to measure; all that fits the targets by default. May be given several times.
    #[arg(long)]
    pub metric: Vec<Metric>,
    /// Output to measure; the one whose shape fits the targets by default.
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
    /// Part of the data: train, valid, test or all; test where the data has an official one, else all.
    #[arg(long)]
    pub split: Option<Part>,
    /// Samples in one run.
    #[arg(long, value_name = "N", default_value_t = measure::BATCH, value_parser = at_least_one)]
    pub batch: usize,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    #[command(flatten)]
    pub reading: DataArgs,
}

/// Which study, and what the command line changes about it.
#[derive(Debug, clap::Args)]
pub struct StudyArgs {
    /// The study file, as TOML.
    pub study: PathBuf,
    /// Strategy to use instead of the file's.
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// A setting of the strategy, or with a dotted key any value of the file. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Trials to spend, starting points among them.
    #[arg(long, value_name = "N")]
    pub trials: Option<u64>,
    /// Time to spend: 90s, 10m, 1h 30m. Trials that run then have a tenth of it more to end, and are dropped after that.
    #[arg(long, value_parser = some_time)]
    pub time: Option<Duration>,
    /// Seed of everything that is drawn.
    #[arg(long)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub plugins: PluginArgs,
}

/// Where a study is kept.
#[derive(Debug, clap::Args)]
pub struct KeepArgs {
    /// Keep the study in this SQLite file, which may hold several; it outlives a kill of the program.
    #[arg(long, value_name = "FILE.db")]
    pub store: Option<PathBuf>,
    /// Go on with the study of that name in the store, where there is one.
    #[arg(long, requires = "store")]
    pub resume: bool,
    /// Try the failed trials of the study again before it goes on, each as a new trial on top of the budget.
    #[arg(long, requires = "resume")]
    pub retry_failed: bool,
}

/// `search`.
#[derive(Debug, clap::Args)]
pub struct Search {
    #[command(flatten)]
    pub study: StudyArgs,
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Evaluations at a time; one a core by default. Every trial is the same at any number.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub jobs: Option<usize>,
    /// Write the best model here, for studies whose trials are models.
    #[arg(short, long, value_name = "FILE.onnx")]
    pub output: Option<PathBuf>,
    /// Write all trials here, a JSON document a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub log: Option<PathBuf>,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// `session`.
#[derive(Debug, clap::Args)]
pub struct Session {
    #[command(flatten)]
    pub study: StudyArgs,
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Keep the study in memory only, as it is without --store.
    #[arg(long, conflicts_with = "store")]
    pub no_store: bool,
}

/// `study`.
#[derive(Debug, Subcommand)]
pub enum Study {
    /// List the studies of a store.
    List(StoreArg),
    /// Show what a study has found.
    Show(StudyArg),
    /// Draw a study.
    Plot(Plot),
    /// Write all trials of a study to a file.
    Export(Export),
    /// Remove a study with all its trials.
    Rm(Remove),
}

/// Which store.
#[derive(Debug, clap::Args)]
pub struct StoreArg {
    /// The store.
    #[arg(long, value_name = "FILE.db")]
    pub store: PathBuf,
}

/// Which study.
#[derive(Debug, clap::Args)]
pub struct StudyArg {
    /// Name of the study.
    pub name: String,
    #[command(flatten)]
    pub store: StoreArg,
}

/// `study plot`.
#[derive(Debug, clap::Args)]
pub struct Plot {
    #[command(flatten)]
    pub study: StudyArg,
    /// What to draw.
    #[arg(long, value_enum)]
    pub kind: PlotKind,
    /// Where to write the picture; its ending says whether as SVG or PNG.
    #[arg(short, long, value_name = "OUT.svg|OUT.png")]
    pub output: PathBuf,
}

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlotKind {
    /// Every trial in order, and the best so far.
    History,
    /// Two objectives against each other, every pair where there are more.
    Front,
    /// Every trial a line through its values.
    Parallel,
    /// How much each axis decides, alone and together.
    Importance,
}

/// `study rm`.
#[derive(Debug, clap::Args)]
pub struct Remove {
    #[command(flatten)]
    pub study: StudyArg,
    /// Do not ask on the terminal; needed where there is none.
    #[arg(long)]
    pub yes: bool,
}

/// `study export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    pub study: StudyArg,
    /// Form of the file.
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// Where to write it.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Form of an exported study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A table, a trial a row.
    Csv,
    /// JSON, a trial a line, as `search --log` writes it.
    Jsonl,
    /// The file that Optuna's JournalStorage reads.
    OptunaJournal,
}

/// `optimize`.
#[derive(Debug, clap::Args)]
pub struct Optimize {
    /// The model's ONNX file.
    pub model: PathBuf,
    /// An optimizer with its settings, as quantize:bits=8; several are applied in order.
    #[arg(
        long,
        value_name = "NAME:KEY=VALUE,…",
        required_unless_present = "recipe"
    )]
    pub with: Vec<String>,
    /// Optimizers with their settings from a TOML file of [[step]] tables.
    #[arg(long, value_name = "FILE.toml", conflicts_with = "with")]
    pub recipe: Option<PathBuf>,
    /// Data to fit, decide and report on, as for eval.
    #[arg(long)]
    pub data: Option<String>,
    /// Data to calibrate activations with; a share of the training part by default.
    #[arg(long, value_name = "DATA")]
    pub calibration: Option<String>,
    /// How much worse the model may become: 0.01 in the metric's unit, 0.5% of its value.
    #[arg(long, value_name = "DROP", requires = "data")]
    pub max_drop: Option<MaxDrop>,
    /// Metric that --max-drop is about; accuracy for classes and mse for numbers by default.
    #[arg(long, requires = "max_drop")]
    pub metric: Option<Metric>,
    /// Output to measure; the one whose shape fits the targets by default.
    #[arg(long, value_name = "NAME")]
    pub measured_output: Option<String>,
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Samples in one run.
    #[arg(long, value_name = "N", default_value_t = measure::BATCH, value_parser = at_least_one)]
    pub batch: usize,
    /// Where to write the model.
    #[arg(short, long, value_name = "OUT.onnx")]
    pub output: PathBuf,
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    #[command(flatten)]
    pub reading: DataArgs,
    #[command(flatten)]
    pub plugins: PluginArgs,
}

fn bytes(text: &str) -> Result<u64, String> {
    let bytes = units::number(text)?;
    if bytes < 1.0 {
        return Err("it must be at least one byte".to_owned());
    }
    Ok(bytes as u64)
}

fn some_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be more than no time".to_owned()),
        other => other.map_err(|e| e.to_string()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("it is not a whole number".to_owned()),
    }
}

/// `guard`.
#[derive(Debug, clap::Args)]
pub struct Guard {
    /// The process that is served.
    pub parent: i32,
    /// The program.
    pub program: OsString,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

/// `list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// What to list; everything by default.
    pub kind: Option<ListKind>,
    #[command(flatten)]
    pub plugins: PluginArgs,
}

/// What `list` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListKind {
    /// Search strategies.
    Searchers,
    /// Optimization methods.
    Optimizers,
    /// Evaluators.
    Evaluators,
    /// Families of architectures.
    Families,
    /// File formats of models.
    Formats,
    /// What runs models.
    Runtimes,
}

impl ListKind {
    /// The registry's kind.
    pub fn kind(self) -> Kind {
        match self {
            Self::Searchers => Kind::Searcher,
            Self::Optimizers => Kind::Optimizer,
            Self::Evaluators => Kind::Evaluator,
            Self::Families => Kind::Family,
            Self::Formats => Kind::Format,
            Self::Runtimes => Kind::Runtime,
        }
    }
}

/// `info`.
#[derive(Debug, clap::Args)]
pub struct Info {
    /// Name, as `lapidary list` shows it.
    pub name: String,
    #[command(flatten)]
    pub plugins: PluginArgs,
}

/// `schema`.
#[derive(Debug, clap::Args)]
pub struct Schema {
    /// What files it is of.
    #[arg(value_enum, default_value_t = SchemaKind::Study)]
    pub kind: SchemaKind,
    #[command(flatten)]
    pub plugins: PluginArgs,
}

/// What a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    /// Study files.
    Study,
    /// Recipe files.
    Recipe,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Args::command().debug_assert();
    }
}
