//! `kind = "command"`: any program in any language.
//!
//! The program is told its candidate by its arguments, its environment and a JSON object on stdin, with `id`, `point`,
//! `fidelity`, `seed` (a number of its own below 2^31) and, where there are such, `parent`, `checkpoint` and
//! `parent_checkpoint`. It prints its metrics as a JSON object on stdout: `{"metrics": {"loss": 0.3}}` or just
//! `{"loss": 0.3}`; with a `step` they are intermediate. The last object counts. `{"failed": "reason"}` or an
//! exit code other than 0 make a failed trial. Other lines are passed over, as are values that are no numbers.

mod printed;
mod settings;
mod shell;

use std::path::{Path, PathBuf};
use std::process::Command as Program;

use lapidary_core::budget::Limits;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::fit::Verdict;
use lapidary_core::inventory;
use lapidary_core::json::Json;
use lapidary_core::registry::{
    BuildError, Entry, EvalInit, EvalSource, Factory, Info, Linked, Promise,
};
use lapidary_core::rng::Rng;
use lapidary_core::settings::Schema;
use lapidary_core::space::Axis;
use lapidary_core::text::{did_you_mean, listed};
use lapidary_core::trial::{Candidate, Outcome};
use lapidary_core::wire::CandidateForm;
use rand_core::RngCore;
use serde_json::json;

use self::printed::{Printed, Said};
use self::settings::{CommandSettings, Placed, read};
use super::template::{as_text, fill_text, names};
use crate::process::{Event, Process};

/// What a template may name besides the axes; an axis of the same name comes first.
const WORDS: [&str; 3] = ["id", "fidelity", "seed"];
/// And where the study keeps checkpoints.
const FOLDERS: [&str; 2] = ["checkpoint", "parent_checkpoint"];
/// Variables that tell libraries how many threads to use.
const THREADS: [&str; 6] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
];
/// The registry's entry.
pub static ENTRY: Entry = Entry {
    info: Info {
        name: "command",
        summary: "runs any program in any language for each trial",
        docs: "The program is told its candidate by its arguments, its environment and a JSON object on stdin, and prints its metrics \
               as a JSON object in a line on stdout; with a `step` they are intermediate. In the texts of arguments and \
               environment `{axis}` stands for the axis's value, `{id}`, `{fidelity}` and `{seed}` for the candidate's, \
               `{checkpoint}` and `{parent_checkpoint}` for folders where the study has such.",
        settings: Schema::of::<CommandSettings>(),
        promises: &[
            Promise::TakesFidelity,
            Promise::Reports,
            Promise::KeepsLimits,
        ],
    },
    factory: Factory::Evaluator {
        make: &make,
        axes: &axes,
    },
};

inventory::submit! { Linked(&ENTRY) }

/// Runs a program for each trial.
struct Command {
    program: PathBuf,
    /// Arguments in groups.
    args: Vec<Vec<String>>,
    env: Vec<(String, String)>,
    /// Where it runs.
    folder: PathBuf,
    checkpoints: Option<PathBuf>,
    /// What the texts of arguments and environment may name.
    names: Vec<String>,
    /// Metrics that the goal reads.
    goal: Vec<String>,
    /// What is to be known of the arguments.
    notes: Vec<String>,
    limits: Limits,
    threads: Option<usize>,
    guard: Option<PathBuf>,
}

fn axes(settings: &Json, source: &EvalSource<'_>) -> Result<Vec<Axis>, BuildError> {
    read(&ENTRY.info, settings, source).map(|_| Vec::new())
}

fn make<'a>(settings: &Json, init: &EvalInit<'a>) -> Result<Box<dyn Evaluator + 'a>, BuildError> {
    let (settings, program, (args, env)) = read(&ENTRY.info, settings, &init.source)?;
    let mut known: Vec<&str> = init.space.axes().iter().map(|a| a.name.as_str()).collect();
    known.extend(WORDS);
    if settings.checkpoints.is_some() {
        known.extend(FOLDERS);
    }
    for (path, text) in args
        .iter()
        .flatten()
        .chain(env.iter().map(|(_, placed)| placed))
    {
        for name in names(text, &known) {
            if !known.contains(&name.as_str()) {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                return Err(ENTRY.info.refuse_at(&path, unknown(&name, &known)));
            }
        }
    }
    let notes = shell::notes(&program, &args, init.space, &known);
    let text = |(_, text): Placed| text;
    let paths = init.source.paths;
    let folder = match paths.path(&[], "") {
        empty if empty.as_os_str().is_empty() => ".".into(),
        folder => folder,
    };
    Ok(Box::new(Command {
        program,
        args: (args.into_iter())
            .map(|group| group.into_iter().map(text).collect())
            .collect(),
        env: env
            .into_iter()
            .map(|(name, placed)| (name, text(placed)))
            .collect(),
        folder,
        checkpoints: (settings.checkpoints.as_ref()).map(|text| paths.path(&["checkpoints"], text)),
        names: known.iter().map(|name| (*name).to_owned()).collect(),
        goal: (init.goal.metrics().into_iter())
            .map(str::to_owned)
            .collect(),
        notes,
        limits: init.limits,
        threads: init.threads,
        guard: init.program.map(Path::to_owned),
    }))
}

impl Command {
    fn run(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Result<Outcome, String> {
        let told = self.told(candidate, cx)?;
        let mut process = Process::start(
            self.program(&told),
            self.limits.memory,
            self.guard.as_deref(),
        )
        .map_err(|e| format!("{} cannot be started: {e}", self.program.display()))?;
        process.begin(self.limits.time);
        process.send_all(format!("{told}\n"));
        let mut printed = Printed::new(&self.goal);
        let event = loop {
            let said = match process.next(cx.cancel) {
                Event::Line(line) => printed.line(&line),
                Event::LongLine(begin) => {
                    printed.too_long(&begin);
                    continue;
                }
                event => break event,
            };
            for said in said {
                match said {
                    Said::Failed(reason) => return Err(reason),
                    Said::Step(step, metrics) => {
                        if (cx.report)(step, &metrics) == Verdict::Stop {
                            return Ok(Outcome::Stopped {
                                metrics: printed.into_last(),
                                reason: format!("stopped after step {step}"),
                            });
                        }
                    }
                }
            }
        };
        match &event {
            Event::Ended(status) if status.success() => {}
            event => return Err(process.failure(event)),
        }
        let metrics = printed.measured()?;
        Ok(Outcome::Measured { metrics })
    }

    /// What the program is told on stdin.
    fn told(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Result<Json, String> {
        let mut told = json!(CandidateForm::by_name(candidate));
        let seed = Rng::keyed(cx.seed, candidate.id, "command").next_u64() >> 33;
        told["seed"] = seed.into();
        if let Some(folder) = &self.checkpoints {
            let own = checkpoint(folder, candidate.id);
            let made = make_empty(&own);
            made.map_err(|e| format!("the checkpoint folder {}: {e}", own.display()))?;
            told["checkpoint"] = text(&own);
            let parent = candidate.parent.map(|id| checkpoint(folder, id));
            if let Some(parent) = parent.filter(|folder| folder.is_dir()) {
                told["parent_checkpoint"] = text(&parent);
            }
        }
        Ok(told)
    }

    /// The command line for what is told.
    fn program(&self, told: &Json) -> Program {
        let value = |name: &str| {
            let axis = told["point"].get(name);
            axis.or_else(|| told.get(name)).map(as_text)
        };
        let fill = |text: &String| fill_text(text, &self.names, value);
        let mut program = Program::new(&self.program);
        program.current_dir(&self.folder);
        for group in &self.args {
            let group: Option<Vec<String>> = group.iter().map(fill).collect();
            program.args(group.unwrap_or_default());
        }
        if let Some(threads) = self.threads {
            program.envs(THREADS.map(|name| (name, threads.to_string())));
        }
        let env = self.env.iter();
        program.envs(env.filter_map(|(name, text)| Some((name, fill(text)?))));
        program
    }
}

/// What is wrong with a template that names what nobody knows.
fn unknown(name: &str, known: &[&str]) -> String {
    let hint = if FOLDERS.contains(&name) {
        "; with `checkpoints = \"FOLDER\"` in [evaluate] each trial has a folder".to_owned()
    } else {
        format!(
            "{}; there are {}, and `{{{{{name}}}}}` is the text itself",
            did_you_mean(name, known),
            listed(known)
        )
    };
    format!("`{{{name}}}` is no axis of the space{hint}")
}

/// The folder of a trial.
fn checkpoint(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("trial-{id}"))
}

/// Makes a folder; what an earlier run left in it is removed.
fn make_empty(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)
}

/// A path as the program can use it, wherever it runs.
fn text(path: &Path) -> Json {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().into()
}

impl Evaluator for Command {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        self.run(candidate, cx)
            .unwrap_or_else(|reason| Outcome::Failed { reason })
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        None
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
