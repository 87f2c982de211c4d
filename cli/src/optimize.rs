//! `lapidary optimize`: a smaller or faster model out of a model.

use std::path::Path;
use std::time::Instant;

use lapidary_core::json::Json;
use lapidary_core::metrics::Metric;
use lapidary_core::model::Model;
use lapidary_core::optimizer::Recipe;
use lapidary_core::samples::{Samples, Targets};
use lapidary_data::{Dataset, Encoder, Part};
use lapidary_study::models;
use lapidary_study::recipe::{self, Limit, RecipeContext, stages_json};
use serde::Serialize;

use crate::end::{End, Failure};
use crate::progress::Progress;
use crate::{args, data, files, installed, interrupt, output, stages};

#[derive(Serialize)]
struct Document<'a> {
    stages: Json,
    goal_met: bool,
    output: &'a Path,
    seconds: f64,
}

/// The parts of the data, where there is any.
#[derive(Default)]
struct Parts {
    train: Option<Samples>,
    valid: Option<Samples>,
    test: Option<Samples>,
    calibration: Option<Samples>,
}

/// Runs the command. A model that misses the goal is written all the same: the exit code tells.
pub fn run(args: &args::Optimize, json: bool) -> Result<End, Failure> {
    let began = Instant::now();
    let recipe = read_recipe(args)?;
    let registry = installed::registry(&args.plugins)?;
    recipe::optimizers(&registry, &recipe).map_err(Failure::of_recipe)?;
    let runtime = args.runtime.make(&registry)?;
    let model = models::open(&registry, &args.model).map_err(Failure::input)?;
    let model = model.as_ref();
    let encoder = models::encoder_of(&args.model).map_err(Failure::input)?;
    let parts = read_parts(args, model, encoder.as_ref())?;
    let limit = args
        .max_drop
        .map(|max_drop| {
            let metric = args
                .metric
                .or_else(|| main_metric(parts.valid.as_ref()?.targets.as_ref()?))
                .ok_or_else(|| Failure::input("--max-drop needs --data with targets"))?;
            Ok(Limit { metric, max_drop })
        })
        .transpose()?;
    files::check(&args.output).map_err(Failure::input)?;

    let cancel = interrupt::watch()?;
    let progress = Progress::shares();
    let done = recipe::run_recipe(
        model,
        &recipe,
        &RecipeContext {
            registry: &registry,
            runtime: runtime.as_ref(),
            train: parts.train.as_ref(),
            valid: parts.valid.as_ref(),
            test: parts.test.as_ref(),
            calibration: parts.calibration.as_ref(),
            batch: args.batch,
            output: args.measured_output.as_deref(),
            limit,
            latency: Some(1),
            seed: args.seed,
            cancel: &cancel,
            progress: &|share, what| progress.share(share, what),
        },
    )
    .map_err(Failure::of_recipe)?;
    drop(progress);

    models::save(&registry, done.model(), encoder.as_ref(), &args.output).map_err(Failure::work)?;
    // An optimizer that finds nothing within the limit gives the model back as it was: the limit is kept, the goal is not met.
    let unchanged = limit.is_some() && is_same(model, done.model());
    let goal_met = done.goal_met && !unchanged;
    let document = Document {
        stages: stages_json(&done.stages),
        goal_met,
        output: &args.output,
        seconds: began.elapsed().as_secs_f64(),
    };
    stages::tell_notes(&done.stages);
    output::print(json, &document, || {
        format!(
            "{}\nwritten to {}",
            stages::table(&done.stages),
            args.output.display()
        )
    })?;
    if goal_met {
        return Ok(End::Done);
    }
    eprintln!(
        "{}",
        if unchanged {
            "nothing within --max-drop was found; the model is as it was"
        } else {
            "the model worsened by more than --max-drop allows"
        }
    );
    Ok(End::GoalMissed)
}

fn is_same(a: &dyn Model, b: &dyn Model) -> bool {
    a.topology().nodes == b.topology().nodes && a.weights() == b.weights()
}

fn read_recipe(args: &args::Optimize) -> Result<Recipe, Failure> {
    match &args.recipe {
        Some(path) => recipe::load_recipe(path).map_err(Failure::input),
        None => Ok(Recipe {
            steps: args
                .with
                .iter()
                .map(|text| recipe::parse_step(text))
                .collect::<Result<_, _>>()
                .map_err(Failure::input)?,
        }),
    }
}

fn read_parts(
    args: &args::Optimize,
    model: &dyn Model,
    encoder: Option<&Encoder>,
) -> Result<Parts, Failure> {
    let mut parts = Parts::default();
    let read = |data: &Dataset, part| data.part(part, args.reading.limit).map_err(Failure::input);
    if let Some(source) = &args.data {
        let data = data::open(source, &args.reading, model, encoder.cloned())?;
        parts.train = Some(read(&data, Part::Train)?);
        parts.valid = Some(read(&data, Part::Valid)?);
        parts.test = Some(read(&data, Part::Test)?);
    }
    if let Some(source) = &args.calibration {
        let data = data::open(source, &args.reading, model, encoder.cloned())?;
        parts.calibration = Some(read(&data, Part::All)?);
    }
    Ok(parts)
}

/// The metric that matters most for such targets.
fn main_metric(targets: &Targets) -> Option<Metric> {
    Metric::for_task(&targets.task()).first().copied()
}
