//! The store: studies in one SQLite file.
//!
//! What a study asked and was told stands in its log, in order; that is the truth. The same transaction writes Optuna's
//! tables (its schema 12), so that its tools show a running study and its program can go on with one; they can be made again
//! from the log. One process writes at a time, by a lock file beside; readers are never blocked (write-ahead log). A kill loses nothing that was
//! committed; a power cut may lose the last transactions, never the file (`synchronous = NORMAL`).

mod optuna;
pub mod record;
mod schema;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lapidary_core::goal::Goal;
use lapidary_core::json::Json;
use lapidary_core::space::{Point, Space};
use lapidary_core::study::{Log, LogError};
use lapidary_core::trial::{Candidate, Outcome, Report, Trial};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use thiserror::Error;

/// Kinds of records in the log.
mod kind {
    pub const ASK: i64 = 0;
    pub const TELL: i64 = 1;
    pub const FOREIGN: i64 = 2;
}

/// A file of studies.
pub struct Store {
    path: PathBuf,
    connection: Connection,
    /// Held while this process may write; released by the system when the process ends, however it ends.
    _lock: Option<File>,
}

/// What makes a study the study it is: resuming with another value of any of these is refused. A JSON object.
pub type Identity = Json;

/// What can go wrong with a store.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum StoreError {
    #[error("{path}: {source}")]
    File {
        path: PathBuf,
        source: Box<StoreError>,
    },
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    #[error("this is an SQLite file, but no store of studies")]
    NoStore,
    #[error("the store has {found}; this program reads and writes {wanted}")]
    Schema { found: String, wanted: String },
    #[error("another process ({holder}) is writing to it; wait until it ends, or use another --store")]
    Locked { holder: String },
    #[error("no study `{name}`; there are {}", lapidary_core::text::listed(known))]
    Unknown { name: String, known: Vec<String> },
    #[error("the study `{name}` is there already: go on with it with --resume, give this one another name, or remove it with `study rm`")]
    Exists { name: String },
    #[error("the study `{name}` was begun with another {what}: {was} then, {is} now; only the budget may change on --resume")]
    Changed {
        name: String,
        what: String,
        was: String,
        is: String,
    },
    #[error("the log of study `{name}` is damaged at record {record}")]
    Damaged { name: String, record: i64 },
}

impl StoreError {
    fn at(self, path: &Path) -> Self {
        match self {
            Self::File { .. } => self,
            other => Self::File {
                path: path.to_owned(),
                source: Box::new(other),
            },
        }
    }
}

impl Store {
    /// Opens the store at `path` to write, made where there is none.
    ///
    /// # Errors
    /// When another process writes to it, it is no store or of another version, or the folder cannot be written.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let open = || {
            let lock = lock(path)?;
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.set_prepared_statement_cache_capacity(64);
            schema::prepare(&connection)?;
            Ok(Self {
                path: path.to_owned(),
                connection,
                _lock: Some(lock),
            })
        };
        open().map_err(|e: StoreError| e.at(path))
    }

    /// Opens the store at `path` to read; a writer is not disturbed.
    ///
    /// # Errors
    /// When there is none, or it is of another version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            schema::check(&connection)?;
            Ok(Self {
                path: path.to_owned(),
                connection,
                _lock: None,
            })
        };
        open().map_err(|e: StoreError| e.at(path))
    }

    /// Names of the studies, in the order they were begun.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn studies(&self) -> Result<Vec<String>, StoreError> {
        let mut rows = self.connection.prepare("SELECT study_name FROM studies ORDER BY study_id")?;
        Ok(rows.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// Removes a study with all its trials.
    ///
    /// # Errors
    /// When there is none of that name, or the file cannot be written.
    pub fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        let study = self.require(name)?;
        let transaction = self.connection.transaction()?;
        for table in [
            "trial_user_attributes",
            "trial_system_attributes",
            "trial_params",
            "trial_values",
            "trial_intermediate_values",
            "trial_heartbeats",
        ] {
            transaction.execute(
                &format!("DELETE FROM {table} WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = ?1)"),
                [study],
            )?;
        }
        for table in [
            "trials",
            "study_directions",
            "study_user_attributes",
            "study_system_attributes",
            "lapidary_log",
            "lapidary_studies",
            "studies",
        ] {
            transaction.execute(&format!("DELETE FROM {table} WHERE study_id = ?1"), [study])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Begins a new study, or with `resume` goes on with the one of that name, and takes its log from now on.
    ///
    /// # Errors
    /// When a new study's name is taken, one to resume is not there or was begun with another identity, or the file fails.
    pub fn begin(
        self,
        name: &str,
        identity: &Identity,
        space: &Arc<Space>,
        goal: &Goal,
        resume: bool,
    ) -> Result<StudyLog, StoreError> {
        let path = self.path.clone();
        self.begin_at(name, identity, space, goal, resume).map_err(|e| e.at(&path))
    }

    fn begin_at(
        self,
        name: &str,
        identity: &Identity,
        space: &Arc<Space>,
        goal: &Goal,
        resume: bool,
    ) -> Result<StudyLog, StoreError> {
        let study = match (self.find(name)?, resume) {
            (Some(_), false) => return Err(StoreError::Exists { name: name.to_owned() }),
            (Some(study), true) => {
                self.check_identity(study, name, identity)?;
                study
            }
            (None, true) => return Err(self.unknown(name)?),
            (None, false) => {
                self.connection.execute_batch("BEGIN IMMEDIATE")?;
                self.connection.execute("INSERT INTO studies (study_name) VALUES (?1)", [name])?;
                let study = self.connection.last_insert_rowid();
                optuna::describe_study(&self.connection, study, goal)?;
                self.connection.execute(
                    "INSERT INTO lapidary_studies VALUES (?1, ?2, ?3)",
                    params![study, schema::log_version(), identity.to_string()],
                )?;
                self.connection.execute_batch("COMMIT")?;
                study
            }
        };
        let mut log = StudyLog {
            name: name.to_owned(),
            study,
            space: space.clone(),
            goal: goal.clone(),
            distributions: space.axes().iter().map(optuna::distribution).collect(),
            history: self.history(study, name, space)?,
            rows: Vec::new(),
            seq: 0,
            told: 0,
            recalled: 0,
            in_transaction: false,
            foreign: VecDeque::new(),
            unfit: 0,
            store: self,
        };
        log.rows = log.history.iter().map(|h| h.row).collect();
        log.recalled = log.history.iter().filter(|h| h.outcome.is_some()).count();
        log.seq = log.store.connection.query_row(
            "SELECT coalesce(max(seq) + 1, 0) FROM lapidary_log WHERE study_id = ?1",
            [study],
            |row| row.get(0),
        )?;
        let (foreign, unfit) = optuna::foreign_trials(&log.store.connection, study, space, goal)?;
        log.foreign = foreign.into();
        log.unfit = unfit;
        Ok(log)
    }

    fn find(&self, name: &str) -> Result<Option<i64>, StoreError> {
        Ok(self
            .connection
            .query_row("SELECT study_id FROM studies WHERE study_name = ?1", [name], |row| row.get(0))
            .optional()?)
    }

    fn unknown(&self, name: &str) -> Result<StoreError, StoreError> {
        Ok(StoreError::Unknown {
            name: name.to_owned(),
            known: self.studies()?,
        })
    }

    fn require(&self, name: &str) -> Result<i64, StoreError> {
        match self.find(name)? {
            Some(study) => Ok(study),
            None => Err(self.unknown(name)?),
        }
    }

    /// What the study called `name` was begun with.
    ///
    /// # Errors
    /// When there is none of that name, or another program made it.
    pub fn identity(&self, name: &str) -> Result<Identity, StoreError> {
        let study = self.require(name)?;
        self.identity_of(study, name)
    }

    fn identity_of(&self, study: i64, name: &str) -> Result<Identity, StoreError> {
        let text: Option<String> = self
            .connection
            .query_row("SELECT identity FROM lapidary_studies WHERE study_id = ?1", [study], |row| row.get(0))
            .optional()?;
        let text = text.ok_or(StoreError::NoStore)?;
        serde_json::from_str(&text).map_err(|_| StoreError::Damaged {
            name: name.to_owned(),
            record: -1,
        })
    }

    fn check_identity(&self, study: i64, name: &str, now: &Identity) -> Result<(), StoreError> {
        let was = self.identity_of(study, name)?;
        let keys = |json: &Json| -> Vec<String> {
            json.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default()
        };
        let mut all = keys(&was);
        all.extend(keys(now));
        match all.iter().find(|key| was.get(key.as_str()) != now.get(key.as_str())) {
            None => Ok(()),
            Some(key) => Err(StoreError::Changed {
                name: name.to_owned(),
                what: key.clone(),
                was: was.get(key).map_or("nothing".into(), Json::to_string),
                is: now.get(key).map_or("nothing".into(), Json::to_string),
            }),
        }
    }

    /// What a study's log says of every trial, by id.
    fn history(&self, study: i64, name: &str, space: &Arc<Space>) -> Result<Vec<Noted>, StoreError> {
        let mut rows = self
            .connection
            .prepare("SELECT seq, kind, id, trial_id, body FROM lapidary_log WHERE study_id = ?1 ORDER BY seq")?;
        let mut rows = rows.query([study])?;
        let mut history: Vec<Noted> = Vec::new();
        while let Some(row) = rows.next()? {
            let (seq, kind, id, trial): (i64, i64, i64, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let body: String = row.get(4)?;
            let note = |history: &mut Vec<Noted>| -> Option<()> {
                match kind {
                    kind::TELL => {
                        let noted = history.get_mut(usize::try_from(id).ok()?)?;
                        let (outcome, curve, repeats) = record::read_tell(&body)?;
                        noted.outcome = Some(outcome);
                        noted.curve = curve;
                        noted.repeats = repeats;
                    }
                    kind::ASK | kind::FOREIGN if id == history.len() as i64 => {
                        let (candidate, outcome) = if kind == kind::ASK {
                            (record::read_ask(space, id as u64, &body)?, None)
                        } else {
                            let (point, outcome) = record::read_foreign(space, &body)?;
                            let candidate = Candidate { id: id as u64, point, fidelity: 1.0, parent: None };
                            (candidate, Some(outcome))
                        };
                        history.push(Noted {
                            row: trial?,
                            candidate,
                            foreign: kind == kind::FOREIGN,
                            outcome,
                            curve: Vec::new(),
                            repeats: None,
                        });
                    }
                    _ => return None,
                }
                Some(())
            };
            note(&mut history).ok_or(StoreError::Damaged {
                name: name.to_owned(),
                record: seq,
            })?;
        }
        Ok(history)
    }

    /// All trials of a study as its log has them, pending ones with no outcome. `space` and the study's identity must agree.
    ///
    /// # Errors
    /// When there is none of that name, or its log is damaged.
    pub fn trials(&self, name: &str, space: &Arc<Space>) -> Result<Vec<Noted>, StoreError> {
        let study = self.require(name)?;
        self.history(study, name, space).map_err(|e| e.at(&self.path))
    }
}

/// What a log says of one trial.
#[derive(Debug, Clone)]
pub struct Noted {
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
    /// Its row in Optuna's table.
    row: i64,
}

/// The log of one study, in its store.
pub struct StudyLog {
    store: Store,
    name: String,
    study: i64,
    space: Arc<Space>,
    goal: Goal,
    distributions: Vec<String>,
    /// What earlier runs noted, by id.
    history: Vec<Noted>,
    /// Optuna's rows, by id.
    rows: Vec<i64>,
    seq: i64,
    told: usize,
    recalled: usize,
    in_transaction: bool,
    /// Trials that another program added since.
    foreign: VecDeque<(i64, Point, Outcome)>,
    unfit: usize,
}

impl StudyLog {
    /// Trials that earlier runs finished.
    pub fn recalled(&self) -> usize {
        self.recalled
    }

    /// Trials of other programs that wait to be told, and how many more do not fit the space or the goal.
    pub fn foreign(&self) -> (usize, usize) {
        (self.foreign.len(), self.unfit)
    }

    fn note(&mut self, kind: i64, id: u64, row: Option<i64>, body: &str) -> Result<(), StoreError> {
        self.store
            .connection
            .prepare_cached("INSERT INTO lapidary_log VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![self.study, self.seq, kind, id as i64, row, body])?;
        self.seq += 1;
        Ok(())
    }

    fn write(&mut self, work: impl FnOnce(&mut Self) -> Result<(), StoreError>) -> Result<(), LogError> {
        let mut attempt = || {
            if !self.in_transaction {
                self.store.connection.execute_batch("BEGIN IMMEDIATE")?;
                self.in_transaction = true;
            }
            work(self)
        };
        attempt().map_err(|e: StoreError| LogError(e.at(&self.store.path).to_string()))
    }
}

impl Log for StudyLog {
    fn asked(&mut self, candidate: &Candidate) -> Result<(), LogError> {
        if let Some(noted) = self.history.get(candidate.id as usize) {
            return if noted.candidate == *candidate {
                Ok(())
            } else {
                Err(LogError(format!(
                    "{}: trial {} of study `{}` was another candidate when it was first asked; the study was written by \
                     another version of this program, or its log was changed",
                    self.store.path.display(),
                    candidate.id,
                    self.name
                )))
            };
        }
        self.write(|log| {
            let row = optuna::insert_trial(
                &log.store.connection,
                log.study,
                &candidate.point,
                &log.distributions,
                &now(),
            )?;
            log.rows.push(row);
            log.note(kind::ASK, candidate.id, Some(row), &record::ask(candidate))
        })
    }

    fn told(&mut self, trial: &Trial) -> Result<(), LogError> {
        self.told += 1;
        let id = trial.candidate.id as usize;
        if self.history.get(id).is_some_and(|noted| noted.outcome.is_some()) {
            return Ok(());
        }
        self.write(|log| {
            let row = log.rows[id];
            optuna::finish_trial(&log.store.connection, row, &log.goal, &trial.outcome, &trial.curve, &now())?;
            let body = record::tell(&trial.outcome, &trial.curve, trial.repeats);
            log.note(kind::TELL, trial.candidate.id, None, &body)
        })
    }

    fn commit(&mut self) -> Result<(), LogError> {
        if !self.in_transaction {
            return Ok(());
        }
        self.in_transaction = false;
        self.store
            .connection
            .execute_batch("COMMIT")
            .map_err(|e| LogError(StoreError::from(e).at(&self.store.path).to_string()))
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
            log.note(kind::FOREIGN, id, Some(row), &record::foreign(&point, &outcome))
        });
        let candidate = Candidate {
            id,
            point: point.clone(),
            fidelity: 1.0,
            parent: None,
        };
        self.history.push(Noted {
            candidate,
            foreign: true,
            outcome: Some(outcome.clone()),
            curve: Vec::new(),
            repeats: None,
            row,
        });
        noted.ok().map(|()| (point, outcome))
    }
}

impl Drop for StudyLog {
    /// An open transaction holds only what no one has acted on yet.
    fn drop(&mut self) {
        if self.in_transaction {
            let _ = self.store.connection.execute_batch("ROLLBACK");
        }
    }
}

/// Takes the lock of the store at `path`.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&name)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())?;
            file.flush()?;
            Ok(file)
        }
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            Err(StoreError::Locked {
                holder: format!("process {holder}"),
            })
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// The local time as Optuna writes it.
fn now() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

#[allow(dead_code)]
fn _assert(space: &StudyLog) -> &Arc<Space> {
    &space.space
}
