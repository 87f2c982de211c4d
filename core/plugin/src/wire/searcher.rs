//! What searchers are told and say.

use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::searcher::{SearchInit, Snapshot};
use lapidary_core::space::{Point, Space};
use lapidary_core::trial::{Candidate, Metrics, Origin, Outcome, Report, Score, Trial};

use super::WireError;
use super::space::{read_point, read_space, write_point, write_space};
use super::value::{read_value, write_value};
use crate::json::{Reader, Writer};

/// What a searcher is built from.
pub struct Request {
    /// Its settings.
    pub settings: Json,
    /// What it is built for; nothing is installed.
    pub init: SearchInit<'static>,
}

/// `{"settings": …, "space": […], "seed": …, "objectives": …, "trials": …}`, without `trials` where they are not known.
pub fn write_request(w: &mut Writer, settings: &Json, init: &SearchInit<'_>) {
    w.object(|w| {
        write_value(w.key("settings"), settings);
        write_space(w.key("space"), &init.space);
        w.key("seed").u64(init.seed);
        w.key("objectives").u64(init.objectives as u64);
        if let Some(trials) = init.trials {
            w.key("trials").u64(trials);
        }
    });
}

/// Reads what [`write_request`] wrote.
///
/// # Errors
/// When a part is missing or wrong.
pub fn read_request(text: &[u8]) -> Result<Request, WireError> {
    let mut settings = Json::Null;
    let (mut space, mut seed, mut objectives, mut trials) = (None, None, None, None);
    let mut r = Reader::new(text);
    r.object(|r, key| {
        match key {
            "settings" => settings = read_value(r)?,
            "space" => space = Some(read_space(r)?),
            "seed" => seed = Some(r.u64()?),
            "objectives" => objectives = Some(r.u64()?),
            "trials" => trials = Some(r.u64()?),
            _ => r.skip()?,
        }
        Ok::<_, WireError>(())
    })?;
    r.end()?;
    let objectives = objectives.ok_or(WireError::Missing { key: "objectives" })?;
    Ok(Request {
        settings,
        init: SearchInit {
            space: Arc::new(space.ok_or(WireError::Missing { key: "space" })?),
            seed: seed.ok_or(WireError::Missing { key: "seed" })?,
            objectives: usize::try_from(objectives).unwrap_or(usize::MAX),
            trials,
            installed: None,
        },
    })
}

/// `"id": …, "point": […], "fidelity": …, "parent": …`, the last two where they are not 1 and none.
fn write_candidate(w: &mut Writer, candidate: &Candidate) {
    w.key("id").u64(candidate.id);
    write_point(w.key("point"), &candidate.point);
    if candidate.fidelity != 1.0 {
        w.key("fidelity").f64(candidate.fidelity);
    }
    if let Some(parent) = candidate.parent {
        w.key("parent").u64(parent);
    }
}

/// The fields of a candidate as they are read.
struct CandidateFields {
    id: Option<u64>,
    point: Option<Result<Point, lapidary_core::space::SpaceError>>,
    fidelity: f64,
    parent: Option<u64>,
}

impl CandidateFields {
    fn new() -> Self {
        Self {
            id: None,
            point: None,
            fidelity: 1.0,
            parent: None,
        }
    }

    /// Reads the value of `key` where it is one of a candidate's.
    fn read(
        &mut self,
        r: &mut Reader<'_>,
        key: &str,
        space: &Arc<Space>,
    ) -> Result<bool, WireError> {
        match key {
            "id" => self.id = Some(r.u64()?),
            "point" => self.point = Some(read_point(r, space)?),
            "fidelity" => self.fidelity = r.f64()?,
            "parent" => self.parent = if r.null() { None } else { Some(r.u64()?) },
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn finish(self) -> Result<Candidate, WireError> {
        let id = self.id.ok_or(WireError::Missing { key: "id" })?;
        let point = self.point.ok_or(WireError::Missing { key: "point" })?;
        if !(self.fidelity > 0.0 && self.fidelity <= 1.0) {
            return Err(WireError::Fidelity {
                id,
                fidelity: self.fidelity,
            });
        }
        Ok(Candidate {
            id,
            point: point.map_err(|error| WireError::Point { id, error })?,
            fidelity: self.fidelity,
            parent: self.parent,
        })
    }
}

/// An array of candidates.
pub fn write_candidates(w: &mut Writer, candidates: &[Candidate]) {
    w.array(|w| {
        for candidate in candidates {
            w.object(|w| write_candidate(w, candidate));
        }
    });
}

/// Reads at most `most` candidates.
///
/// # Errors
/// When there are more, or one is not of the space.
pub fn read_candidates(
    text: &[u8],
    space: &Arc<Space>,
    most: usize,
) -> Result<Vec<Candidate>, WireError> {
    let mut candidates = Vec::new();
    let mut r = Reader::new(text);
    r.array(|r| {
        if candidates.len() == most {
            return Err(WireError::TooMany { asked: most });
        }
        let mut fields = CandidateFields::new();
        r.object(|r, key| {
            if !fields.read(r, key, space)? {
                r.skip()?;
            }
            Ok::<_, WireError>(())
        })?;
        candidates.push(fields.finish()?);
        Ok(())
    })?;
    r.end()?;
    Ok(candidates)
}

fn write_metrics(w: &mut Writer, metrics: &Metrics) {
    w.object(|w| {
        for (name, value) in metrics {
            w.key(name).f64(*value);
        }
    });
}

fn read_metrics(r: &mut Reader<'_>) -> Result<Metrics, WireError> {
    let mut metrics = Metrics::new();
    r.object(|r, name| {
        metrics.insert(name.to_owned(), r.f64()?);
        Ok::<_, WireError>(())
    })?;
    Ok(metrics)
}

/// A candidate with, where they apply, `"foreign": true`, `metrics`, `failed` or `stopped` with the reason, `score`, `curve`
/// and `repeats`.
pub fn write_trial(w: &mut Writer, trial: &Trial) {
    w.object(|w| {
        write_candidate(w, &trial.candidate);
        if trial.origin == Origin::Foreign {
            w.key("foreign").bool(true);
        }
        if let Some(metrics) = trial.outcome.metrics() {
            write_metrics(w.key("metrics"), metrics);
        }
        match &trial.outcome {
            Outcome::Measured { .. } => {}
            Outcome::Failed { reason } => w.key("failed").text(reason),
            Outcome::Stopped { reason, .. } => w.key("stopped").text(reason),
        }
        if let Some(score) = &trial.score {
            w.key("score").object(|w| {
                w.key("objectives")
                    .array(|w| score.objectives.iter().for_each(|value| w.f64(*value)));
                w.key("violation").f64(score.violation);
            });
        }
        if !trial.curve.is_empty() {
            w.key("curve").array(|w| {
                for report in &trial.curve {
                    w.object(|w| {
                        w.key("step").u64(report.step);
                        write_metrics(w.key("metrics"), &report.metrics);
                    });
                }
            });
        }
        if let Some(repeats) = trial.repeats {
            w.key("repeats").u64(repeats);
        }
    });
}

/// Reads what [`write_trial`] wrote.
///
/// # Errors
/// When a part is missing or wrong, or the point is not of the space.
pub fn read_trial(text: &[u8], space: &Arc<Space>) -> Result<Trial, WireError> {
    let mut fields = CandidateFields::new();
    let (mut foreign, mut score, mut repeats) = (false, None, None);
    let (mut metrics, mut failed, mut stopped) = (Metrics::new(), None, None);
    let mut curve = Vec::new();
    let mut r = Reader::new(text);
    r.object(|r, key| {
        match key {
            "foreign" => foreign = r.bool()?,
            "metrics" => metrics = read_metrics(r)?,
            "failed" => failed = Some(r.text()?.into_owned()),
            "stopped" => stopped = Some(r.text()?.into_owned()),
            "score" => score = Some(read_score(r)?),
            "curve" => r.array(|r| {
                curve.push(read_report(r)?);
                Ok::<_, WireError>(())
            })?,
            "repeats" => repeats = Some(r.u64()?),
            key => {
                if !fields.read(r, key, space)? {
                    r.skip()?;
                }
            }
        }
        Ok::<_, WireError>(())
    })?;
    r.end()?;
    Ok(Trial {
        candidate: fields.finish()?,
        origin: if foreign {
            Origin::Foreign
        } else {
            Origin::Own
        },
        outcome: match (failed, stopped) {
            (Some(reason), _) => Outcome::Failed { reason },
            (None, Some(reason)) => Outcome::Stopped { metrics, reason },
            (None, None) => Outcome::Measured { metrics },
        },
        score,
        curve,
        repeats,
    })
}

fn read_score(r: &mut Reader<'_>) -> Result<Score, WireError> {
    let mut score = Score {
        objectives: Vec::new(),
        violation: 0.0,
    };
    r.object(|r, key| {
        match key {
            "objectives" => r.array(|r| {
                score.objectives.push(r.f64()?);
                Ok::<_, WireError>(())
            })?,
            "violation" => score.violation = r.f64()?,
            _ => r.skip()?,
        }
        Ok::<_, WireError>(())
    })?;
    Ok(score)
}

fn read_report(r: &mut Reader<'_>) -> Result<Report, WireError> {
    let mut report = Report {
        step: 0,
        metrics: Metrics::new(),
    };
    r.object(|r, key| {
        match key {
            "step" => report.step = r.u64()?,
            "metrics" => report.metrics = read_metrics(r)?,
            _ => r.skip()?,
        }
        Ok::<_, WireError>(())
    })?;
    Ok(report)
}

/// `{"strategy": …, "version": …, "state": …}`.
pub fn write_snapshot(w: &mut Writer, snapshot: &Snapshot) {
    w.object(|w| {
        w.key("strategy").text(&snapshot.strategy);
        w.key("version").u64(snapshot.version.into());
        write_value(w.key("state"), &snapshot.state);
    });
}

/// Reads what [`write_snapshot`] wrote.
///
/// # Errors
/// When a part is missing or wrong.
pub fn read_snapshot(text: &[u8]) -> Result<Snapshot, WireError> {
    let (mut strategy, mut version, mut state) = (None, None, None);
    let mut r = Reader::new(text);
    r.object(|r, key| {
        match key {
            "strategy" => strategy = Some(r.text()?.into_owned()),
            "version" => version = u32::try_from(r.u64()?).ok(),
            "state" => state = Some(read_value(r)?),
            _ => r.skip()?,
        }
        Ok::<_, WireError>(())
    })?;
    r.end()?;
    Ok(Snapshot {
        strategy: strategy.ok_or(WireError::Missing { key: "strategy" })?,
        version: version.ok_or(WireError::Missing { key: "version" })?,
        state: state.ok_or(WireError::Missing { key: "state" })?,
    })
}
