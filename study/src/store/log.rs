//! The log of one study while it runs.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lapidary_core::goal::Goal;
use lapidary_core::space::{Point, Space};
use lapidary_core::study::{Log, LogError};
use lapidary_core::trial::{Candidate, Outcome, Report, Trial};
use rusqlite::params;

use super::optuna::{self, Rows};
use super::record::{self, Kind};
use super::{Noted, Store, StoreError};

/// The log of one study, in its store.
pub struct StudyLog {
    store: Store,
    name: String,
    study: i64,
    /// Trials of the budget when the study was begun.
    planned: Option<u64>,
    goal: Goal,
    distributions: Vec<String>,
    /// What earlier runs noted, by id.
    history: Vec<Noted>,
    /// Optuna's rows, by id.
    rows: Vec<i64>,
    /// The next record.
    seq: i64,
    /// The number that Optuna gives the next trial.
    number: i64,
    /// SQLite's count of what other programs wrote.
    data_version: i64,
    /// When this run began, until that is noted.
    began: Option<i64>,
    /// How long earlier runs took.
    spent: Duration,
    /// When the open transaction began: as the log and as Optuna writes it.
    now: (i64, String),
    /// Trials that another program added since.
    foreign: VecDeque<(i64, Point, Outcome)>,
    unfit: usize,
    /// What could not be noted since the last commit; the rest of the transaction is worth nothing without it.
    failed: Option<LogError>,
    /// Trials whose outcomes are noted and wait to be told.
    waiting: HashSet<u64>,
}

impl StudyLog {
    pub(super) fn new(
        store: Store,
        name: &str,
        study: i64,
        planned: Option<u64>,
        space: &Arc<Space>,
        goal: &Goal,
    ) -> Result<Self, StoreError> {
        let history = store.history(study, name, space)?;
        let seq = store.connection.query_row(
            "SELECT coalesce(max(seq) + 1, 0) FROM lapidary_log WHERE study_id = ?1",
            [study],
            |row| row.get(0),
        )?;
        let mut log = Self {
            name: name.to_owned(),
            study,
            planned,
            goal: goal.clone(),
            distributions: space.axes().iter().map(optuna::distribution).collect(),
            rows: history.iter().map(|noted| noted.row).collect(),
            history,
            seq,
            number: 0,
            data_version: -1,
            began: Some(Timestamp::now().as_microsecond()),
            spent: spent(&store, study)?,
            now: (0, String::new()),
            foreign: VecDeque::new(),
            unfit: 0,
            failed: None,
            waiting: HashSet::new(),
            store,
        };
        if !log.optuna().agree(&log.history)? {
            log.begin()?;
            log.optuna().rebuild(&log.history)?;
            log.store.connection.execute_batch("COMMIT")?;
        }
        let ours: HashSet<i64> = log.rows.iter().copied().collect();
        let (foreign, unfit) = log.optuna().foreign(space, &ours)?;
        log.foreign = foreign.into();
        log.unfit = unfit;
        Ok(log)
    }

    /// Trials that earlier runs finished.
    pub fn recalled(&self) -> usize {
        self.history.iter().filter(|n| n.outcome.is_some()).count()
    }

    /// Trials of other programs that wait to be told, and how many more do not fit the space or the goal.
    pub fn foreign(&self) -> (usize, usize) {
        (self.foreign.len(), self.unfit)
    }

    /// Trials of the budget when the study was begun: what a searcher that plans by the budget is to be told on resume too, so
    /// that it goes on as it began.
    pub fn planned(&self) -> Option<u64> {
        self.planned
    }

    fn optuna(&self) -> Rows<'_> {
        Rows {
            connection: &self.store.connection,
            study: self.study,
            goal: &self.goal,
            distributions: &self.distributions,
        }
    }

    /// Opens a transaction.
    fn begin(&mut self) -> Result<(), StoreError> {
        let connection = &self.store.connection;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let version = connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if version != self.data_version {
            // Another program may have added trials.
            self.data_version = version;
            self.number = self.optuna().next_number()?;
        }
        let at = Timestamp::now().as_microsecond();
        self.now = (at, optuna::local_time(at));
        if let Some(began) = self.began.take() {
            self.now.0 = began;
            self.note(Kind::Run, 0, 0, "")?;
            self.now.0 = at;
        }
        Ok(())
    }

    /// Does `work` within the open transaction, or a new one. After a failure that transaction will not be committed: SQLite
    /// may have given it up, and with it what had been noted before.
    fn write(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), LogError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let begun = match self.store.connection.is_autocommit() {
            true => self.begin(),
            false => Ok(()),
        };
        begun.and_then(|()| work(self)).map_err(|error| {
            let error = self.refuse(error);
            self.failed = Some(error.clone());
            error
        })
    }

    fn note(&mut self, kind: Kind, id: u64, row: i64, body: &str) -> Result<(), StoreError> {
        self.store
            .connection
            .prepare_cached("INSERT INTO lapidary_log VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                self.study,
                self.seq,
                kind as i64,
                id as i64,
                row,
                self.now.0,
                body
            ])?;
        self.seq += 1;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &rusqlite::Connection {
        &self.store.connection
    }

    fn finish(
        &mut self,
        candidate: &Candidate,
        outcome: &Outcome,
        curve: &[Report],
        repeats: Option<u64>,
    ) -> Result<(), LogError> {
        let id = candidate.id;
        self.write(|log| {
            let row = log.rows[id as usize];
            let now = &log.now.1;
            log.optuna().finish(row, candidate, outcome, curve, now)?;
            log.note(Kind::Tell, id, row, &record::tell(outcome, curve, repeats))
        })
    }

    fn refuse(&self, error: StoreError) -> LogError {
        LogError(error.at(&self.store.path).to_string())
    }
}

impl Log for StudyLog {
    fn asked(&mut self, candidate: &Candidate) -> Result<(), LogError> {
        if let Some(noted) = self.history.get(candidate.id as usize) {
            if noted.candidate == *candidate {
                return Ok(());
            }
            return Err(self.refuse(StoreError::Differs {
                name: self.name.clone(),
                id: candidate.id,
            }));
        }
        self.write(|log| {
            let now = &log.now.1;
            let row = log.optuna().insert(None, log.number, candidate, now)?;
            log.number += 1;
            log.rows.push(row);
            log.note(Kind::Ask, candidate.id, row, &record::ask(candidate))
        })
    }

    fn told(&mut self, trial: &Trial) -> Result<(), LogError> {
        let id = trial.candidate.id;
        if (self.history.get(id as usize)).is_some_and(|noted| noted.outcome.is_some()) {
            return Ok(());
        }
        if self.waiting.remove(&id) {
            return Ok(());
        }
        self.finish(
            &trial.candidate,
            &trial.outcome,
            &trial.curve,
            trial.repeats,
        )
    }

    fn waits(
        &mut self,
        candidate: &Candidate,
        outcome: &Outcome,
        curve: &[Report],
    ) -> Result<(), LogError> {
        self.waiting.insert(candidate.id);
        match self.goal.score(outcome) {
            Ok(_) => self.finish(candidate, outcome, curve, None),
            Err(reason) => self.finish(candidate, &Outcome::Failed { reason }, curve, None),
        }
    }

    fn has(&self, id: u64) -> bool {
        id < self.history.len() as u64
    }

    fn spent(&self) -> Duration {
        self.spent
    }

    fn commit(&mut self) -> Result<(), LogError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.store.connection.is_autocommit() {
            return Ok(());
        }
        let commit = || {
            let mut commit = self.store.connection.prepare_cached("COMMIT")?;
            commit.execute([]).map(drop)
        };
        commit().map_err(|e: rusqlite::Error| self.refuse(e.into()))
    }

    fn recall(&mut self, id: u64) -> Option<(Outcome, Vec<Report>)> {
        let noted = self.history.get(id as usize)?;
        Some((noted.outcome.clone()?, noted.curve.clone()))
    }

    fn foreign(&mut self, id: u64) -> Option<(Point, Outcome)> {
        if let Some(noted) = self.history.get(id as usize) {
            let outcome = noted.outcome.clone().filter(|_| noted.foreign)?;
            return Some((noted.candidate.point.clone(), outcome));
        }
        let (row, point, outcome) = self.foreign.pop_front()?;
        let noted = self.write(|log| {
            log.rows.push(row);
            log.note(Kind::Foreign, id, row, &record::foreign(&point, &outcome))
        });
        if noted.is_err() {
            return None;
        }
        let at = self.now.0;
        self.history.push(Noted {
            row,
            candidate: Candidate {
                id,
                point: point.clone(),
                fidelity: 1.0,
                parent: None,
            },
            foreign: true,
            outcome: Some(outcome.clone()),
            curve: Vec::new(),
            repeats: None,
            asked: at,
            told: Some(at),
        });
        Some((point, outcome))
    }
}

/// How long the runs of a study took, each from its start to its last record.
pub(super) fn spent(store: &Store, study: i64) -> Result<Duration, StoreError> {
    let mut records = store
        .connection
        .prepare("SELECT kind, at FROM lapidary_log WHERE study_id = ?1 ORDER BY seq")?;
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
