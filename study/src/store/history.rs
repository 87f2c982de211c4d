//! What the log of a study says of its trials and of how long it ran.

use std::sync::Arc;
use std::time::Duration;

use lapidary_core::space::Space;
use lapidary_core::trial::{Candidate, Outcome, Report};
use rusqlite::Connection;

use super::error::StoreError;
use super::record::{self, Kind};

/// What a log says of one trial.
#[derive(Debug, Clone)]
pub struct Noted {
    /// Its row in Optuna's table.
    pub row: i64,
    /// What was asked.
    pub candidate: Candidate,
    /// Whether another program made it.
    pub foreign: bool,
    /// What came out, where it has ended.
    pub outcome: Option<Outcome>,
    /// Intermediate reports.
    pub curve: Vec<Report>,
    /// The earlier trial that answered it, where the point was repeated.
    pub repeats: Option<u64>,
    /// The failed trial that it tries again, where it does.
    pub retries: Option<u64>,
    /// When it was asked, in microseconds since 1970 UTC.
    pub asked: i64,
    /// When it was told.
    pub told: Option<i64>,
}

/// What a study's log says of every trial, by id.
pub fn history(
    connection: &Connection,
    study: i64,
    name: &str,
    space: &Arc<Space>,
) -> Result<Vec<Noted>, StoreError> {
    let mut rows = connection.prepare(
        "SELECT seq, kind, id, trial_id, at, body FROM lapidary_log WHERE study_id = ?1 ORDER BY seq",
    )?;
    let mut rows = rows.query([study])?;
    let mut history = Vec::new();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let record = Record {
            kind: row.get(1)?,
            id: row.get(2)?,
            row: row.get(3)?,
            at: row.get(4)?,
            body: row.get_ref(5)?.as_str().unwrap_or_default(),
        };
        record
            .read(space, &mut history)
            .ok_or_else(|| StoreError::Damaged {
                name: name.to_owned(),
                at: format!("record {seq}"),
            })?;
    }
    Ok(history)
}

/// A record of the log.
struct Record<'a> {
    kind: i64,
    id: i64,
    row: i64,
    at: i64,
    body: &'a str,
}

impl Record<'_> {
    /// Adds what the record says to `history`; `None` where it makes no sense.
    fn read(&self, space: &Arc<Space>, history: &mut Vec<Noted>) -> Option<()> {
        let id = u64::try_from(self.id).ok()?;
        let kind = Kind::read(self.kind)?;
        if kind == Kind::Run {
            return Some(());
        }
        if kind == Kind::Tell {
            let noted = history.get_mut(usize::try_from(id).ok()?)?;
            let (outcome, curve, repeats) = record::read_tell(self.body)?;
            if noted.outcome.replace(outcome).is_some() {
                return None;
            }
            if repeats.is_some_and(|earlier| earlier >= id) {
                return None;
            }
            noted.curve = curve;
            noted.repeats = repeats;
            noted.told = Some(self.at);
            return Some(());
        }
        if id != history.len() as u64 {
            return None;
        }
        let (candidate, retries, outcome) = if kind == Kind::Ask {
            let (candidate, retries) = record::read_ask(space, id, self.body)?;
            (candidate, retries, None)
        } else {
            let (point, outcome) = record::read_foreign(space, self.body)?;
            let candidate = Candidate {
                id,
                point,
                fidelity: 1.0,
                parent: None,
            };
            (candidate, None, Some(outcome))
        };
        history.push(Noted {
            row: self.row,
            candidate,
            foreign: kind == Kind::Foreign,
            told: outcome.is_some().then_some(self.at),
            outcome,
            curve: Vec::new(),
            repeats: None,
            retries,
            asked: self.at,
        });
        Some(())
    }
}

/// How long the runs of a study took, each from its start to its last record.
pub fn spent(connection: &Connection, study: i64) -> Result<Duration, StoreError> {
    let mut records =
        connection.prepare("SELECT kind, at FROM lapidary_log WHERE study_id = ?1 ORDER BY seq")?;
    let mut records = records.query([study])?;
    // The clock may have been set back.
    let (mut total, mut began, mut last) = (0_u64, 0_i64, 0_i64);
    while let Some(row) = records.next()? {
        let (kind, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        if Kind::read(kind) == Some(Kind::Run) {
            total += last.saturating_sub(began).max(0) as u64;
            began = at;
        }
        last = at;
    }
    total += last.saturating_sub(began).max(0) as u64;
    Ok(Duration::from_micros(total))
}
