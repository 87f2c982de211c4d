//! `lapidary demo`: searches a small convolutional network for the bundled digits, then distills, prunes and quantizes it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lapidary_core::json::Json;
use lapidary_core::optimizer::{Recipe, Step};
use lapidary_core::study::End as StudyEnd;
use lapidary_core::trial::Candidate;
use lapidary_data::{Options, Part};
use lapidary_study::artefacts::{Keeper, Shelf};
use lapidary_study::evaluate::{Host, evaluator};
use lapidary_study::file::{Overrides, StudyFile};
use lapidary_study::recipe::{self, RecipeContext, stages_json};
use lapidary_study::{measure, models};
use serde::Serialize;
use serde_json::json;

use crate::end::{End, Failure};
use crate::progress::Progress;
use crate::search::Document as SearchDocument;
use crate::setup::Folders;
use crate::watch::Watch;
use crate::winner::Winner;
use crate::{args, files, installed, interrupt, output, search, stages};

/// Names of the stages, by what has just been done to the model.
const STAGES: [&str; 4] = ["searched", "distilled", "pruned", "quantized"];

/// Images in a timed run: with one such small image, a run is mostly overhead.
const LATENCY_BATCH: usize = 64;

#[derive(Serialize)]
struct Document {
    stages: Json,
    search: SearchDocument,
    seconds: f64,
}

/// Runs the command.
pub fn run(args: &args::Demo, json: bool) -> Result<End, Failure> {
    let began = Instant::now();
    files::make_folder(&args.out).map_err(Failure::input)?;
    let registry = installed::builtin()?;
    let runtime = registry
        .runtime(measure::RUNTIME, &Json::Null)
        .map_err(Failure::work)?;
    let text = study(args);
    let path = args.out.join("study.toml");
    let file =
        StudyFile::parse(&path, &text, &Overrides::default(), &registry).map_err(Failure::work)?;
    files::write(&path, &text).map_err(Failure::work)?;
    let evaluator = evaluator(&file, &registry, Host::default()).map_err(Failure::work)?;
    let data = lapidary_data::open("digits", &Options::default()).map_err(Failure::work)?;
    let part = |part| data.part(part, None).map_err(Failure::work);
    let (train, valid, test) = (part(Part::Train)?, part(Part::Valid)?, part(Part::Test)?);
    let cancel = interrupt::watch()?;

    eprintln!("searching convolutional networks for the bundled digits");
    let mut watch = Watch::new(&file, 0, Duration::ZERO, false);
    let folders = Folders::temporary()?;
    let shelf = Shelf::new(&folders.artefacts(), &file.identity());
    let mut keeper = Keeper::new(shelf.clone(), &file.goal, &registry);
    let jobs = search::jobs(None, file.window);
    let finished = search::search(
        &file,
        &registry,
        evaluator.as_ref(),
        file.budget.trials,
        jobs,
        &mut (&mut keeper, &mut watch),
        &cancel,
    )?;
    drop(watch);
    if finished.end == StudyEnd::Cancelled {
        return Err(Failure::Interrupted);
    }
    if let Some(reason) = search::only_failures(&finished) {
        return Err(Failure::work(format!("all trials failed: {reason}")));
    }
    let winner = Winner::of(
        &finished,
        &shelf,
        evaluator.as_ref(),
        &registry,
        file.seed,
        &cancel,
    )?
    .ok_or_else(|| Failure::work("no trial ended"))?;
    let model = winner.model()?;

    eprintln!("distilling, pruning and quantizing the winner");
    let progress = Progress::shares();
    let mut done = recipe::run_recipe(
        model.as_ref(),
        &recipe_for(&winner.trial.candidate),
        &RecipeContext {
            registry: &registry,
            runtime: runtime.as_ref(),
            train: Some(&train),
            valid: Some(&valid),
            test: Some(&test),
            calibration: None,
            batch: measure::BATCH,
            output: None,
            limit: None,
            latency: Some(LATENCY_BATCH),
            seed: args.seed,
            cancel: &cancel,
            progress: &|share, what| progress.share(share, what),
        },
    )
    .map_err(Failure::of_recipe)?;
    drop(progress);
    for ((stage, model), name) in done.stages.iter_mut().zip(&done.models).zip(STAGES) {
        name.clone_into(&mut stage.name);
        let path = model_path(&args.out, name);
        models::save(&registry, model.as_ref(), None, &path).map_err(Failure::work)?;
    }
    stages::tell_notes(&done.stages);

    let search = SearchDocument::new(&file, evaluator.as_ref(), &finished, None);
    let goal_met = search.goal_met;
    let document = Document {
        stages: stages_json(&done.stages),
        search,
        seconds: began.elapsed().as_secs_f64(),
    };
    output::print(json, &document, || {
        format!(
            "{}\naccuracy on the test part, which nothing else has seen\nmodels and study in {}, {:.0} s",
            stages::table(&done.stages),
            args.out.display(),
            document.seconds
        )
    })?;
    Ok(if goal_met { End::Done } else { End::GoalMissed })
}

fn model_path(folder: &Path, stage: &str) -> PathBuf {
    folder.join(format!("{stage}.onnx"))
}

/// The study that is searched; `lapidary search` on the file finds the same winner.
fn study(args: &args::Demo) -> String {
    format!(
        r#"# The most accurate convolutional network for handwritten digits that fits into 300 KB.

[study]
name = "digits"
strategy = "genetic"
seed = {seed}

[strategy]
population = 4

[budget]
trials = {trials}

[goal]
maximize = ["accuracy"]
subject_to = ["bytes <= 300KB"]

[evaluate]
kind = "train"
family = "convnet"
data = "digits"
stages = 2
epochs = 5
batch = 32

[space]
depth = {{ int = [1, 2] }}
width = {{ int = [24, 32] }}
kernel = {{ choice = [3, 5] }}
activation = {{ choice = ["relu", "leaky_relu", "hardswish"] }}
skip = {{ choice = [false, true] }}
learning_rate = {{ float = [1e-3, 3e-2], log = true }}
"#,
        seed = args.seed,
        trials = args.trials
    )
}

/// What is done to the winner: a plain student, narrower than any network of the study, learns from
/// it, loses channels, and gets 8 bits.
fn recipe_for(winner: &Candidate) -> Recipe {
    let step = |name: &str, settings: Json| Step {
        name: name.to_owned(),
        settings,
    };
    let point = winner.point.to_json();
    Recipe {
        steps: vec![
            step(
                "distill",
                json!({
                    "student": "convnet",
                    "settings": {"stages": 2, "width": 20, "activation": point["activation"]},
                    "epochs": 30,
                    "batch": 32,
                    "learning_rate": 0.01,
                }),
            ),
            step(
                "prune",
                json!({
                    "structure": "channels",
                    "sparsity": 0.3,
                    "steps": 2,
                    "finetune_epochs": 8,
                    "learning_rate": 0.003,
                    "batch": 32,
                }),
            ),
            step("quantize", json!({})),
        ],
    }
}
