//! `kind = "command"`: any program in any language.
//!
//! The program is told its candidate by its arguments, its environment and a JSON object on stdin, with `id`, `point`,
//! `fidelity`, `seed` (a number of its own below 2^31) and, where there are such, `parent`, `checkpoint` and
//! `parent_checkpoint`. It prints its metrics as a JSON object in a line on stdout: `{"metrics": {"loss": 0.3}}` or just
//! `{"loss": 0.3}`; with a `step` they are intermediate, and the last ones count where no others come. `{"failed": "reason"}`
//! or an exit code other than 0 make a failed trial. Other lines are passed over, as are values that are no numbers.

use std::path::{Path, PathBuf};
use std::process::Command as Program;

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{EvalContext, Evaluator, MetricInfo};
use lapidary_core::fit::Verdict;
use lapidary_core::json::Json;
use lapidary_core::model::{Model, ModelError};
use lapidary_core::rng::Rng;
use lapidary_core::text::listed;
use lapidary_core::trial::{Candidate, Metrics, Outcome, Trial};
use lapidary_core::wire::{CandidateForm, Number};
use rand_core::RngCore;
use serde::Deserialize;
use serde_json::json;

use super::StudyEvaluator;
use super::data::OpenData;
use super::template::{as_text, fill_text, names};
use crate::error::StudyFileError;
use crate::file::tree::did_you_mean;
use crate::file::{CommandSection, StudyFile, Template};
use crate::process::{Event, Limits, Process};

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

/// Runs a program for each trial.
#[derive(Debug)]
pub struct Command {
    section: CommandSection,
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

impl Command {
    /// The evaluator of `section` for the study `file`; the program `guard` becomes a guard of each trial's program.
    ///
    /// # Errors
    /// When a template names what is neither an axis nor known.
    pub(crate) fn new(
        file: &StudyFile,
        section: &CommandSection,
        guard: Option<&Path>,
    ) -> Result<Self, StudyFileError> {
        let mut known: Vec<&str> = file.space.axes().iter().map(|a| a.name.as_str()).collect();
        known.extend(WORDS);
        if section.checkpoints.is_some() {
            known.extend(FOLDERS);
        }
        let templates = section.args.iter().flatten();
        for template in templates.chain(section.env.iter().map(|(_, template)| template)) {
            for name in names(&template.text) {
                if !known.contains(&name.as_str()) {
                    return Err(unknown(template, &name, &known));
                }
            }
        }
        Ok(Self {
            section: section.clone(),
            limits: file.limits,
            threads: file.threads,
            guard: guard.map(Path::to_owned),
        })
    }

    fn run(&self, candidate: &Candidate, cx: &EvalContext<'_>) -> Result<Outcome, String> {
        let told = self.told(candidate, cx)?;
        let mut process = Process::start(
            self.program(&told),
            self.limits.memory,
            self.guard.as_deref(),
        )
        .map_err(|e| format!("{} cannot be started: {e}", self.section.program.display()))?;
        process.begin(self.limits.time);
        process.send_all(format!("{told}\n"));
        let (mut last, mut result) = (None, None);
        let mut not_understood = None;
        let event = loop {
            let line = match process.next(cx.cancel) {
                Event::Line(line) => line,
                event => break event,
            };
            match read(&line) {
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
        if let Some(folder) = &self.section.checkpoints {
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
        let filled = |template: &Template| fill_text(&template.text, value);
        let mut program = Program::new(&self.section.program);
        program.current_dir(&self.section.folder);
        for group in &self.section.args {
            let group: Option<Vec<String>> = group.iter().map(filled).collect();
            program.args(group.unwrap_or_default());
        }
        if let Some(threads) = self.threads {
            program.envs(THREADS.map(|name| (name, threads.to_string())));
        }
        let env = self.section.env.iter();
        program.envs(env.filter_map(|(name, template)| Some((name, filled(template)?))));
        program
    }
}

/// A template names what nobody knows.
fn unknown(template: &Template, name: &str, known: &[&str]) -> StudyFileError {
    let hint = if FOLDERS.contains(&name) {
        "; with `checkpoints = \"FOLDER\"` in [evaluate] each trial has a folder".to_owned()
    } else {
        format!(
            "{}; there are {}, and `{{{{{name}}}}}` is the text itself",
            did_you_mean(name, known),
            listed(known)
        )
    };
    StudyFileError::at(
        &template.place,
        format!("`{{{name}}}` is no axis of the space{hint}"),
    )
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

fn read(line: &[u8]) -> Option<Printed> {
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

impl StudyEvaluator for Command {
    fn model(
        &self,
        _: &Trial,
        _: &[Candidate],
        _: u64,
        _: &Cancel,
    ) -> Result<Option<Box<dyn Model>>, ModelError> {
        Ok(None)
    }

    fn takes_fidelity(&self) -> bool {
        true
    }

    fn data(&self) -> Option<&OpenData> {
        None
    }
}
