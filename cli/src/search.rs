//! `lapidary search`: runs a study.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use lapidary_core::budget::WallClock;
use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::Evaluator;
use lapidary_core::goal::{Constraint, Goal};
use lapidary_core::log::Log;
use lapidary_core::registry::{Promise, Registry};
use lapidary_core::study::{End as StudyEnd, Finished, StudyError};
use lapidary_core::trial::{Candidate, Metrics, Outcome, Trial};
use lapidary_core::wire::Found;
use lapidary_study::artefacts::{Files, Keeper, Shelf};
use lapidary_study::evaluate::{Host, check_fidelity, guarded, promises};
use lapidary_study::file::StudyFile;
use lapidary_study::store::StudyLog;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::end::{End, Failure};
use crate::failed_trials::FailedTrials;
use crate::output::{self, grouped, number};
use crate::setup::Folders;
use crate::watch::Watch;
use crate::winner::Winner;
use crate::{args, files, installed, interrupt, setup};

/// What a study found, as `--json` prints it.
#[derive(Serialize)]
pub struct Document {
    study: String,
    strategy: String,
    seed: u64,
    trials: usize,
    failed: usize,
    /// Number of failed trials by reason.
    failures: Map<String, Value>,
    best: Option<StandOut>,
    front: Vec<StandOut>,
    /// Whether the best trial keeps all constraints, and meets `stop_at` where that is given.
    pub goal_met: bool,
    seconds: f64,
    /// Why the study ended.
    end: &'static str,
    /// Whether the same seed gives the same trials: not where time decides anything, and unknown of programs.
    reproducible: bool,
    /// Whether it is time that decides.
    #[serde(skip)]
    time_decides: bool,
    /// The best model's metrics on the test part, where the model was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Metrics>,
}

/// A trial that stands out, and what of it is kept.
#[derive(Serialize)]
pub struct StandOut {
    #[serde(flatten)]
    found: Found<Trial>,
    /// What it left and is kept, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    artefacts: Files,
}

/// Runs the command.
pub fn run(args: &args::Search, json: bool) -> Result<End, Failure> {
    let began = Instant::now();
    let registry = installed::registry(&args.study.plugins)?;
    let file = setup::read_study(&args.study, &args.runtime.overrides(), &registry)?;
    let endless = file.budget.trials.is_none()
        && file.budget.time.is_none()
        && file.goal.stop_at.is_empty()
        && !file.space.is_finite();
    if endless {
        return Err(Failure::input(format!(
            "{}: nothing ends this study; give it a budget with --trials, --time or [budget], or a `stop_at`",
            file.path.display()
        )));
    }
    setup::use_threads(&file)?;
    for path in args.output.iter().chain(&args.log) {
        files::check(path).map_err(Failure::input)?;
    }
    let again = installed::again(&args.study.plugins);
    let (program, folders) = (setup::program()?, Folders::of(&args.keep, &file)?);
    let (checkpoints, artefacts) = (folders.checkpoints(), folders.artefacts());
    // What trials leave is for a later run, or for the end of this one.
    let keeps = args.keep.store.is_some() || args.output.is_some();
    let host = Host {
        program: Some(&program),
        worker_args: &again,
        checkpoints: Some(&checkpoints),
        artefacts: keeps.then_some(artefacts.as_path()),
    };
    let evaluator = guarded(&file, &registry, host).map_err(Failure::input)?;
    let first = setup::searcher(&file, &registry, file.budget.trials)?
        .ask(1)
        .map_err(Failure::work)?;
    check_fidelity(&file, &registry, first.first()).map_err(Failure::input)?;
    if args.output.is_some() && !promises(&file, &registry, Promise::LeavesModel) {
        return Err(Failure::input(
            "--output writes the best model, but this study's trials are no models",
        ));
    }
    for note in file.notes().into_iter().chain(evaluator.notes()) {
        output::tell(&format!("note: {note}"));
    }
    let jobs = jobs(args.jobs, file.window);
    let cancel = interrupt::watch()?;
    let mut stored = setup::begin(&args.keep, &file, &registry)?;
    let (recalled, spent) =
        (stored.as_ref()).map_or((0, Duration::ZERO), |log| (log.recalled(), log.spent()));
    let mut watch = Watch::new(&file, recalled, spent, args.log.is_some());
    let planned = (stored.as_ref()).map_or(file.budget.trials, StudyLog::planned);
    let shelf = Shelf::new(&artefacts, &file.identity().with_plugins(&registry));
    let mut keeper = keeps.then(|| Keeper::new(shelf.clone(), &file.goal, &registry));
    let mut nothing = ((), ());
    let store: &mut dyn Log = match &mut stored {
        Some(stored) => stored,
        None => &mut nothing.0,
    };
    let left: &mut dyn Log = match &mut keeper {
        Some(keeper) => keeper,
        None => &mut nothing.1,
    };
    let mut log = (store, (left, &mut watch));
    let evaluate = evaluator.as_ref();
    let finished = search(&file, &registry, evaluate, planned, jobs, &mut log, &cancel)?;
    drop(stored);
    let lines = watch.finish();
    if let Some(path) = &args.log {
        files::write(path, &lines).map_err(Failure::work)?;
    }

    let shelf = keeps.then_some(&shelf);
    let mut document = Document::new(&file, evaluator.as_ref(), &finished, shelf);
    if let (Some(path), Some(shelf), false) = (&args.output, shelf, cancel.is_cancelled())
        && let Some(winner) = Winner::of(&finished, shelf, evaluate, &registry, file.seed, &cancel)?
    {
        document.test = winner.test()?;
        winner.write(path)?;
    }
    if !matches!(finished.end, StudyEnd::Cancelled | StudyEnd::Time) {
        folders.remove_checkpoints();
    }
    document.seconds = began.elapsed().as_secs_f64();
    if document.time_decides {
        eprintln!("time decides in this study, so the same seed may give other trials");
    }
    let failures = FailedTrials::of(&finished.trials);
    output::print(json, &document, || document.text(&file.goal, &failures))?;
    if finished.end == StudyEnd::Cancelled {
        if let Some(path) = &args.keep.store {
            output::tell(&format!(
                "{} trials are in {}; go on with: {}",
                finished.trials.len(),
                path.display(),
                resuming(std::env::args_os())
            ));
        }
        return Err(Failure::Interrupted);
    }
    if let Some(reason) = only_failures(&finished) {
        return Err(Failure::work(format!(
            "all trials failed; the first: {reason}"
        )));
    }
    if document.goal_met {
        Ok(End::Done)
    } else {
        eprintln!("the goal was not met");
        Ok(End::GoalMissed)
    }
}

/// The command line that goes on with what this one began.
fn resuming(args: impl Iterator<Item = OsString>) -> String {
    let mut words: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    if words.iter().all(|word| word != "--resume") {
        words.push("--resume".to_owned());
    }
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// Evaluations at a time: as asked for, else as many as the machine has cores; never more than the window.
pub fn jobs(asked: Option<usize>, window: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = asked.unwrap_or(cores.min(window));
    if jobs > window {
        eprintln!(
            "--jobs {jobs} helps no more than --jobs {window}: the study's window is {window}"
        );
    }
    jobs.min(window)
}

/// Runs the study of `file`, whose searcher plans for `planned` trials.
pub fn search(
    file: &StudyFile,
    registry: &Registry,
    evaluator: &dyn Evaluator,
    planned: Option<u64>,
    jobs: usize,
    log: &mut dyn Log,
    cancel: &Cancel,
) -> Result<Finished, Failure> {
    let mut searcher = setup::searcher(file, registry, planned)?;
    file.study()
        .run(
            searcher.as_mut(),
            evaluator,
            jobs,
            log,
            &WallClock::start(),
            cancel,
        )
        .map_err(|error| match error {
            StudyError::Goal(_) => Failure::input(error),
            error => Failure::work(error),
        })
}

/// The reason of the first failure where nothing but failures came out.
pub fn only_failures(finished: &Finished) -> Option<&str> {
    let mut reasons = finished.trials.iter().map(|trial| match &trial.outcome {
        Outcome::Failed { reason } => Some(reason.as_str()),
        _ => None,
    });
    let first = reasons.next()??;
    reasons.all(|reason| reason.is_some()).then_some(first)
}

impl Document {
    /// What `finished` amounts to.
    pub fn new(
        file: &StudyFile,
        evaluator: &dyn Evaluator,
        finished: &Finished,
        shelf: Option<&Shelf>,
    ) -> Self {
        let best = finished.best();
        let found = |trial| StandOut::new(trial, shelf);
        // Of an evaluation whose metrics only a run tells nobody knows whether another gives the same.
        let reported = evaluator.metrics();
        let is_known = reported.is_some();
        let volatile = reported.unwrap_or_default();
        let reads_time = file
            .goal
            .metrics()
            .iter()
            .any(|name| volatile.iter().any(|m| m.volatile && m.name == *name));
        let time_decides =
            reads_time || matches!(finished.end, StudyEnd::Time | StudyEnd::Cancelled);
        Self {
            study: file.name.clone(),
            strategy: file.strategy.clone(),
            seed: file.seed,
            trials: finished.trials.len(),
            failed: finished.failed(),
            failures: (FailedTrials::of(&finished.trials).by_reason().into_iter())
                .map(|(reason, n)| (reason.to_owned(), n.into()))
                .collect(),
            goal_met: best.is_some_and(Trial::is_feasible)
                && (file.goal.stop_at.is_empty() || finished.end == StudyEnd::Reached),
            best: best.map(found),
            front: finished.front().into_iter().map(found).collect(),
            seconds: 0.0,
            end: match finished.end {
                StudyEnd::Trials => "trials",
                StudyEnd::Time => "time",
                StudyEnd::Exhausted => "exhausted",
                StudyEnd::Reached => "reached",
                StudyEnd::Cancelled => "cancelled",
            },
            reproducible: is_known && !time_decides,
            time_decides,
            test: None,
        }
    }

    /// The document for people.
    fn text(&self, goal: &Goal, failures: &FailedTrials) -> String {
        let mut text = found_table(goal, self.best.as_ref(), &self.front);
        for (name, value) in self.test.iter().flatten() {
            text.push_str(&format!("test {name}: {}\n", number(*value)));
        }
        text.push_str(&format!(
            "{} trials of {} ({}), ended by {}, {:.1} s",
            grouped(self.trials as u64),
            self.strategy,
            failures.text(),
            self.end,
            self.seconds
        ));
        text
    }
}

/// A table of the best trial, or for several objectives of the front; empty where there is none.
pub fn found_table(goal: &Goal, best: Option<&StandOut>, front: &[StandOut]) -> String {
    let Some(best) = best else {
        return String::new();
    };
    let shown = if goal.objectives.len() > 1 {
        front
    } else {
        std::slice::from_ref(best)
    };
    let mut metrics = goal.metrics();
    // Objectives first, in the study's order.
    metrics.sort_by_key(|m| {
        goal.objectives
            .iter()
            .position(|o| o.metric == *m)
            .unwrap_or(usize::MAX)
    });
    let mut header = vec!["trial", "point"];
    header.extend(&metrics);
    let rows = shown
        .iter()
        .map(|found| {
            let trial = found.trial();
            let Candidate { id, point, .. } = &trial.candidate;
            let measured = trial.outcome.metrics();
            let mut row = vec![id.to_string(), point_text(&point.to_json())];
            row.extend(metrics.iter().map(|m| {
                let value = measured.and_then(|measured| measured.get(*m));
                value.map_or_else(|| "–".to_owned(), |v| number(*v))
            }));
            row
        })
        .collect();
    let mut right = vec!["trial"];
    right.extend(&metrics);
    let mut text = output::table(&header, &right, rows);
    text.push('\n');
    if !best.trial().is_feasible() {
        let broken = broken(goal, best.trial());
        text.push_str(&format!(
            "no trial keeps all constraints; the one that breaks them least breaks {broken}\n"
        ));
    }
    text
}

/// The constraints that a trial breaks.
pub fn broken(goal: &Goal, trial: &Trial) -> String {
    let metrics = trial.outcome.metrics();
    let keeps = |c: &&Constraint| {
        let value = metrics.and_then(|metrics| metrics.get(&c.metric));
        value.is_some_and(|value| c.holds(*value))
    };
    let broken = goal.constraints.iter().filter(|c| !keeps(c));
    broken
        .map(Constraint::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl StandOut {
    /// `trial`, and what of it is on the shelf.
    pub fn new(trial: &Trial, shelf: Option<&Shelf>) -> Self {
        Self {
            found: Found(trial.clone()),
            artefacts: shelf.map_or_else(Files::new, |shelf| shelf.files(&trial.candidate)),
        }
    }

    /// The trial.
    pub fn trial(&self) -> &Trial {
        &self.found.0
    }
}

fn point_text(point: &Value) -> String {
    let Some(axes) = point.as_object() else {
        return point.to_string();
    };
    axes.iter()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            Value::Number(n) if n.is_f64() => {
                format!("{name}={}", number(n.as_f64().unwrap_or(f64::NAN)))
            }
            other => format!("{name}={other}"),
        })
        .collect::<Vec<_>>()
        .join(" ")
}
