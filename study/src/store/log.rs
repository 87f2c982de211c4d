//! The log of one study while it runs.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lapidary_core::goal::Goal;
use lapidary_core::json::Json;
use lapidary_core::log::{Log, LogError};
use lapidary_core::space::{Point, Space};
use lapidary_core::trial::{Candidate, Outcome, Report, Trial};
use rusqlite::params;

use super::error::StoreError;
use super::history::{Noted, history, spent};
use super::optuna::{self, Rows};
use super::record::{self, Kind};
use super::{Store, schema};
use crate::identity::{Identity, difference, renewed};

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
    /// Failed trials that are to be tried again.
    failures: VecDeque<u64>,
    /// Which trial is tried again under an id, where that is not noted yet.
    retries: HashMap<u64, u64>,
    /// What could not be noted since the last commit; the rest of the transaction is worth nothing without it.
    failed: Option<LogError>,
    /// Trials whose outcomes are noted and wait to be told.
    waiting: HashSet<u64>,
}

impl Store {
    /// Begins a new study, or with `resume` goes on with the one of that name, and takes its log from now on. `planned` is
    /// the number of trials that the budget allows.
    ///
    /// # Errors
    /// When a new study's name is taken, one to resume is not there or was begun with another identity, or the file fails.
    pub fn begin(
        self,
        name: &str,
        identity: &Identity,
        planned: Option<u64>,
        resume: bool,
    ) -> Result<StudyLog, StoreError> {
        let path = self.path.clone();
        self.begin_study(name, identity, planned, resume)
            .map_err(|e| e.at(&path))
    }

    fn begin_study(
        mut self,
        name: &str,
        identity: &Identity,
        planned: Option<u64>,
        resume: bool,
    ) -> Result<StudyLog, StoreError> {
        let (study, planned) = match (self.find(name)?, resume) {
            (Some(_), false) => {
                return Err(StoreError::Exists {
                    name: name.to_owned(),
                });
            }
            (Some(study), true) => {
                let (was, planned) = self.identity(study, name)?;
                let was = renewed(was).map_err(|reason| StoreError::Damaged {
                    name: name.to_owned(),
                    at: format!("its identity: {reason}"),
                })?;
                // Both through text, so that what was read and what was made have the same numbers.
                let text = |json: Json| serde_json::from_str(&json.to_string()).unwrap_or_default();
                let is = identity.without_unrecorded_plugins(&was);
                if let Some(difference) = difference(&text(was), &text(is.to_json())) {
                    return Err(StoreError::Changed {
                        name: name.to_owned(),
                        difference,
                    });
                }
                (study, planned)
            }
            (None, true) => return Err(self.unknown(name)?),
            (None, false) => {
                let transaction = self.connection.transaction()?;
                transaction.execute("INSERT INTO studies (study_name) VALUES (?1)", [name])?;
                let study = transaction.last_insert_rowid();
                let rows = Rows {
                    connection: &transaction,
                    study,
                    goal: &identity.goal,
                    distributions: &[],
                };
                rows.describe()?;
                transaction.execute(
                    "INSERT INTO lapidary_studies VALUES (?1, ?2, ?3, ?4)",
                    params![
                        study,
                        schema::LOG_VERSION,
                        planned.and_then(|n| i64::try_from(n).ok()),
                        identity.to_json().to_string()
                    ],
                )?;
                transaction.commit()?;
                (study, planned)
            }
        };
        StudyLog::new(self, name, study, planned, &identity.space, &identity.goal)
    }
}

impl StudyLog {
    fn new(
        store: Store,
        name: &str,
        study: i64,
        planned: Option<u64>,
        space: &Arc<Space>,
        goal: &Goal,
    ) -> Result<Self, StoreError> {
        let history = history(&store.connection, study, name, space)?;
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
            spent: spent(&store.connection, study)?,
            now: (0, String::new()),
            foreign: VecDeque::new(),
            unfit: 0,
            failures: VecDeque::new(),
            retries: HashMap::new(),
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

    /// Has the failed trials tried again, before anything new is asked: each as a new trial of the same point, which the searcher
    /// learns of as of another program's. Those at a share of the full cost are left as they are. Returns how many there are.
    pub fn retry_failed(&mut self) -> usize {
        let tried: HashSet<u64> = self.history.iter().filter_map(|n| n.retries).collect();
        let failed = self.history.iter().filter(|noted| {
            matches!(noted.outcome, Some(Outcome::Failed { .. }))
                && noted.candidate.fidelity == 1.0
                && !noted.foreign
                && noted.repeats.is_none()
                && !tried.contains(&noted.candidate.id)
        });
        self.failures = failed.map(|noted| noted.candidate.id).collect();
        self.failures.len()
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
        self.now = (at, optuna::time(at));
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
            let retries = log.retries.remove(&candidate.id);
            log.note(
                Kind::Ask,
                candidate.id,
                row,
                &record::ask(candidate, retries),
            )
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

    fn retry(&mut self, id: u64) -> Option<u64> {
        if let Some(noted) = self.history.get(id as usize) {
            return noted.retries;
        }
        let failed = self.failures.pop_front()?;
        self.retries.insert(id, failed);
        Some(failed)
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
            retries: None,
            asked: at,
            told: Some(at),
        });
        Some((point, outcome))
    }
}
