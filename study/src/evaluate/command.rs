//! `kind = "command"`: any program in any language.
//!
//! The program is told its candidate by its arguments, its environment and a JSON object on stdin, with `id`, `point`,
//! `fidelity`, `seed` (a number of its own below 2^31) and, where there are such, `parent`, `checkpoint` and
//! `parent_checkpoint`. It prints its metrics as a JSON object in a line on stdout: `{"metrics": {"loss": 0.3}}` or just
//! `{"loss": 0.3}`; with a `step` they are intermediate, and the last ones count where no others come. `{"failed": "reason"}`
//! or an exit code other than 0 make a failed trial. Other lines are passed over, as are values that are no numbers.

mod settings;

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
use lapidary_core::text::listed;
use lapidary_core::trial::{Candidate, Metrics, Outcome};
use lapidary_core::wire::{CandidateForm, Number};
use rand_core::RngCore;
use serde::Deserialize;
use serde_json::json;

use self::settings::{CommandSettings, Placed, read};
use super::template::{as_text, fill_text, names};
use crate::file::tree::did_you_mean;
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
/// Characters of a line that are quoted when it is not understood.
const QUOTED: usize = 200;

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
    limits: Limits,
    threads: Option<usize>,
    guard: Option<PathBuf>,
}

/// What a line of the program's says.
enum Printed {
    Step(u64, Metrics),
    Metrics(Metrics),
    Failed(String),
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
        for name in names(text) {
            if !known.contains(&name.as_str()) {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                return Err(ENTRY.info.refuse_at(&path, unknown(&name, &known)));
            }
        }
    }
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
        let (mut last, mut result) = (None, None);
        let mut not_understood = None;
        let event = loop {
            let line = match process.next(cx.cancel) {
                Event::Line(line) => line,
                event => break event,
            };
            match printed(&line) {
                Some(Printed::Metrics(metrics)) => {
                    result.get_or_insert_with(Metrics::new).extend(metrics);
                }
                Some(Printed::Step(step, metrics)) => {
                    // A step that was reported before says nothing new.
                    if last.as_ref().is_some_and(|(previous, _)| step <= *previous) {
                        continue;
                    }
                    let verdict = (cx.report)(step, &metrics);
                    last = Some((step, metrics));
                    if verdict == Verdict::Stop {
                        let (step, metrics) = last.unwrap_or_default();
                        return Ok(Outcome::Stopped {
                            metrics,
                            reason: format!("stopped after step {step}"),
                        });
                    }
                }
                Some(Printed::Failed(reason)) => return Err(reason),
                None if line.starts_with(b"{") => not_understood = Some(line),
                None => {}
            }
        };
        match &event {
            Event::Ended(status) if status.success() => {}
            event => return Err(process.failure(event)),
        }
        if let Some(metrics) = result.or(last.map(|(_, metrics)| metrics)) {
            return Ok(Outcome::Measured { metrics });
        }
        let mut reason =
            "it printed no metrics; a line of JSON is wanted, as {\"loss\": 0.3}".to_owned();
        if let Some(line) = not_understood {
            let line = String::from_utf8_lossy(&line);
            let quoted: String = line.chars().take(QUOTED).collect();
            reason.push_str(&format!(", but this is none: {quoted}"));
        }
        Err(reason)
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
        let mut program = Program::new(&self.program);
        program.current_dir(&self.folder);
        for group in &self.args {
            let group: Option<Vec<String>> =
                group.iter().map(|text| fill_text(text, value)).collect();
            program.args(group.unwrap_or_default());
        }
        if let Some(threads) = self.threads {
            program.envs(THREADS.map(|name| (name, threads.to_string())));
        }
        let env = self.env.iter();
        program.envs(env.filter_map(|(name, text)| Some((name, fill_text(text, value)?))));
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

fn printed(line: &[u8]) -> Option<Printed> {
    let json: Json = serde_json::from_slice(line).ok()?;
    let object = json.as_object()?;
    if let Some(Json::String(reason)) = object.get("failed") {
        return Some(Printed::Failed(reason.clone()));
    }
    let step = object.get("step").and_then(Json::as_u64);
    let named = object.get("metrics").and_then(Json::as_object);
    let metrics: Metrics = named
        .unwrap_or(object)
        .iter()
        .filter(|(name, _)| named.is_some() || *name != "step")
        .filter_map(|(name, value)| Some((name.clone(), Number::deserialize(value).ok()?.0)))
        .collect();
    match step {
        Some(step) => Some(Printed::Step(step, metrics)),
        None if metrics.is_empty() => None,
        None => Some(Printed::Metrics(metrics)),
    }
}

impl Evaluator for Command {
    fn evaluate(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Outcome {
        self.run(candidate, cx)
            .unwrap_or_else(|reason| Outcome::Failed { reason })
    }

    fn metrics(&self) -> Option<Vec<MetricInfo>> {
        None
    }
}
