//! `lapidary study`: studies in a store.

mod plot;
mod stored;

use std::io::{IsTerminal, Write};
use std::path::Path;

use lapidary_core::study::{best, front};
use lapidary_core::trial::Outcome;
use lapidary_study::artefacts::Shelf;
use lapidary_study::store::export::{csv, json_lines, optuna_journal};
use lapidary_study::store::{Store, Stored, artefacts};
use serde::Serialize;
use serde_json::json;

use self::stored::read;
use crate::args::{self, ExportFormat};
use crate::end::{End, Failure};
use crate::failed_trials::FailedTrials;
use crate::output::{grouped, number};
use crate::search::{StandOut, broken, found_table};
use crate::{files, output};

/// Runs the command.
pub fn run(args: &args::Study, json: bool) -> Result<End, Failure> {
    match args {
        args::Study::List(args) => list(args, json),
        args::Study::Show(args) => show(args, json),
        args::Study::Plot(args) => plot::run(args, json),
        args::Study::Export(args) => export(args, json),
        args::Study::Rm(args) => remove(args, json),
    }
}

/// A study, as `study list --json` prints it; of one that another program made only the name.
#[derive(Serialize)]
struct ListedStudy {
    study: String,
    #[serde(flatten)]
    ours: Option<Summary>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
}

/// What can be said of a study in a line.
#[derive(Serialize)]
struct Summary {
    strategy: String,
    seed: u64,
    trials: usize,
    measured: usize,
    stopped: usize,
    failed: usize,
    /// Asked and not told yet.
    pending: usize,
    best: Option<StandOut>,
}

/// A study, as `study show --json` prints it.
#[derive(Serialize)]
struct Shown {
    study: String,
    #[serde(flatten)]
    summary: Summary,
    front: Vec<StandOut>,
    goal_met: bool,
}

impl Summary {
    fn new(stored: &Stored, shelf: &Shelf) -> Self {
        let count =
            |is: fn(&Outcome) -> bool| stored.trials.iter().filter(|t| is(&t.outcome)).count();
        Self {
            strategy: stored.identity.strategy.clone(),
            seed: stored.identity.seed,
            trials: stored.trials.len(),
            measured: count(|o| matches!(o, Outcome::Measured { .. })),
            stopped: count(|o| matches!(o, Outcome::Stopped { .. })),
            failed: count(|o| matches!(o, Outcome::Failed { .. })),
            pending: stored.pending.len(),
            best: best(&stored.trials).map(|trial| StandOut::new(trial, Some(shelf))),
        }
    }
}

fn list(args: &args::StoreArg, json: bool) -> Result<End, Failure> {
    let store = Store::open(&args.store).map_err(Failure::input)?;
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for name in store.studies().map_err(Failure::input)? {
        // One that cannot be read hides no other.
        let (stored, damaged) = match store.read(&name) {
            Ok(stored) => (Some(stored), None),
            Err(error) if error.is_not_ours() => (None, None),
            Err(error) => (None, Some(error.to_string())),
        };
        if let Some(reason) = &damaged {
            output::tell(&format!("study `{name}` cannot be read: {reason}"));
        }
        let ours =
            (stored.as_ref()).map(|stored| Summary::new(stored, &shelf(&args.store, stored)));
        rows.push(row(&name, stored.as_ref(), ours.as_ref()));
        lines.push(ListedStudy {
            study: name,
            ours,
            damaged,
        });
    }
    output::print(json, &lines, || {
        let numbers = ["trials", "measured", "stopped", "failed", "pending"];
        let header = [&["study", "strategy"], &numbers[..], &["best"]].concat();
        output::table(&header, &numbers, rows)
    })?;
    Ok(End::Done)
}

/// A study as a row for people.
fn row(name: &str, stored: Option<&Stored>, ours: Option<&Summary>) -> Vec<String> {
    let (Some(stored), Some(ours)) = (stored, ours) else {
        let unknown = std::iter::repeat_n("–".to_owned(), 7);
        return std::iter::once(name.to_owned()).chain(unknown).collect();
    };
    let objectives = &stored.identity.goal.objectives;
    let best = ours.best.as_ref().map_or("–".to_owned(), |found| {
        let trial = found.trial();
        let values = objectives.iter().filter_map(|o| {
            let value = trial.outcome.metrics()?.get(&o.metric)?;
            Some(format!("{} {}", o.metric, number(*value)))
        });
        let mut text = values.collect::<Vec<_>>().join(", ");
        if !trial.is_feasible() {
            let broken = broken(&stored.identity.goal, trial);
            text.push_str(&format!(" (breaks {broken})"));
        }
        text
    });
    let counts = [
        ours.trials,
        ours.measured,
        ours.stopped,
        ours.failed,
        ours.pending,
    ];
    let mut row = vec![name.to_owned(), ours.strategy.clone()];
    row.extend(counts.map(|n| grouped(n as u64)));
    row.push(best);
    row
}

fn show(args: &args::StudyArg, json: bool) -> Result<End, Failure> {
    let stored = read(args)?;
    let shelf = shelf(&args.store.store, &stored);
    let goal = &stored.identity.goal;
    let reached = |metrics| goal.stop_at.is_empty() || goal.is_reached(metrics);
    let shown = Shown {
        study: stored.name.clone(),
        summary: Summary::new(&stored, &shelf),
        front: (front(&stored.trials).into_iter())
            .map(|trial| StandOut::new(trial, Some(&shelf)))
            .collect(),
        goal_met: (stored.trials.iter())
            .any(|t| t.is_feasible() && t.outcome.metrics().is_some_and(reached)),
    };
    output::print(json, &shown, || {
        let summary = &shown.summary;
        format!(
            "{}{} trials of {} ({}; {} pending)",
            found_table(goal, summary.best.as_ref(), &shown.front),
            grouped(summary.trials as u64),
            summary.strategy,
            FailedTrials::of(&stored.trials).text(),
            summary.pending,
        )
    })?;
    Ok(End::Done)
}

fn export(args: &args::Export, json: bool) -> Result<End, Failure> {
    files::check(&args.output).map_err(Failure::input)?;
    let stored = read(&args.study)?;
    let text = match args.format {
        ExportFormat::Csv => csv(&stored).map_err(Failure::work)?,
        ExportFormat::Jsonl => json_lines(&stored),
        ExportFormat::OptunaJournal => optuna_journal(&stored),
    };
    files::write(&args.output, &text).map_err(Failure::work)?;
    let (trials, path) = (stored.trials.len(), args.output.display().to_string());
    let document = json!({"study": stored.name, "trials": trials, "output": path});
    output::print(json, &document, || {
        format!("{trials} trials written to {path}")
    })?;
    Ok(End::Done)
}

fn remove(args: &args::Remove, json: bool) -> Result<End, Failure> {
    let (name, path) = (&args.study.name, &args.study.store.store);
    // Opened to read first: nothing is made where there is no store.
    let there = Store::open(path).and_then(|store| store.require(name));
    there.map_err(Failure::input)?;
    if !args.yes && !agreed(&format!("remove study {name} with all its trials?"))? {
        return Err(Failure::Interrupted);
    }
    Store::create(path)
        .and_then(|mut store| store.remove(name))
        .map_err(Failure::input)?;
    let document = json!({"study": name, "removed": true});
    output::print(json, &document, || format!("removed {name}"))?;
    Ok(End::Done)
}

/// Whether the user agrees, who is asked on the terminal.
fn agreed(question: &str) -> Result<bool, Failure> {
    let (input, mut error) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() || !error.is_terminal() {
        return Err(Failure::input(
            "nobody can be asked where there is no terminal; --yes removes without asking",
        ));
    }
    let mut answer = String::new();
    write!(error, "{question} [y/N] ")
        .and_then(|()| input.read_line(&mut answer))
        .map_err(Failure::work)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// What trials of a study in the store at `store` left.
fn shelf(store: &Path, study: &Stored) -> Shelf {
    Shelf::new(&artefacts(store, &study.name), &study.identity)
}
