//! `lapidary study plot`: a study as a picture.

use std::path::Path;

use lapidary_report::{Drawn, Kind, draw, importances};
use serde_json::{Map, Value, json};

use super::stored::read;
use crate::args::{self, PlotKind};
use crate::end::{End, Failure};
use crate::{files, output};

/// What a picture is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Svg,
    Png,
}

impl Format {
    fn of(path: &Path) -> Result<Self, Failure> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_lowercase).as_deref() {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => Err(Failure::input(format!(
                "{}: pictures are written as .svg or .png",
                path.display()
            ))),
        }
    }
}

/// Runs the command.
pub fn run(args: &args::Plot, json: bool) -> Result<End, Failure> {
    let format = Format::of(&args.output)?;
    files::check(&args.output).map_err(Failure::input)?;
    let stored = read(&args.study)?;
    let study = Drawn {
        name: &stored.name,
        space: &stored.identity.space,
        goal: &stored.identity.goal,
        trials: &stored.trials,
    };
    let kind = match args.kind {
        PlotKind::History => Kind::History,
        PlotKind::Front => Kind::Front,
        PlotKind::Parallel => Kind::Parallel,
        PlotKind::Importance => Kind::Importance,
    };
    let picture = draw(&study, kind).map_err(Failure::input)?;
    let written = match format {
        Format::Svg => files::write(&args.output, picture.svg()),
        Format::Png => files::write(&args.output, picture.png().map_err(Failure::work)?),
    };
    written.map_err(Failure::work)?;
    let path = args.output.display().to_string();
    let mut document = json!({"study": stored.name, "output": path});
    if json && kind == Kind::Importance {
        document["importance"] = shares(&study)?;
    }
    output::print(json, &document, || format!("picture written to {path}"))?;
    Ok(End::Done)
}

/// The importance of every axis by objective, in numbers.
fn shares(study: &Drawn<'_>) -> Result<Value, Failure> {
    let of_objectives = importances(study).map_err(Failure::input)?.into_iter();
    let objectives = of_objectives.map(|(metric, importance)| {
        let names = study.space.axes().iter().map(|axis| axis.name.clone());
        let axes: Map<String, Value> = (names.zip(importance.axes))
            .map(|(name, share)| (name, share.into()))
            .collect();
        (metric, json!({"axes": axes, "together": importance.joint}))
    });
    Ok(objectives.collect::<Map<_, _>>().into())
}
