//! The store: studies in one SQLite file.
//!
//! What a study asked and what came out stands in its log; that is the truth. The same transaction writes Optuna's
//! tables (its schema 12), so that its tools show a running study and its program can go on with one; they are made again
//! from the log where they disagree with it. One process writes at a time, by a lock file beside; readers are never blocked
//! (write-ahead log). A kill loses nothing that was committed; a power cut may lose the last transactions, never the file
//! (`synchronous = NORMAL`).

mod error;
pub mod export;
mod history;
mod lock;
mod log;
mod optuna;
pub mod record;
mod schema;
#[cfg(test)]
mod tests;

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lapidary_core::json::Json;
use lapidary_core::scorer::{Scored, Scorer};
use lapidary_core::trial::{Candidate, Origin, Trial};
use nix::errno::Errno;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

pub use self::error::StoreError;
use self::history::history;
pub use self::log::StudyLog;
pub use self::optuna::rounded_axes;
use crate::identity::Identity;

/// How long to wait for another program that is writing.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file of studies.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Connection,
    /// Held while this process may write.
    _lock: Option<File>,
}

/// The folder beside the store at `store` where trials of the study `name` keep what later stages of them go on from.
pub fn checkpoints(store: &Path, name: &str) -> PathBuf {
    beside(store, ".checkpoints", name)
}

/// The folder beside the store at `store` of what trials of the study `name` left besides their metrics.
pub fn artefacts(store: &Path, name: &str) -> PathBuf {
    beside(store, ".artefacts", name)
}

fn beside(store: &Path, what: &str, name: &str) -> PathBuf {
    let file = linked(store).unwrap_or_else(|_| store.to_owned());
    let mut folder = file.into_os_string();
    folder.push(what);
    // Letters, digits, `-` and `_` stand for themselves, so that any name makes a file's name and no two the same.
    let name = name.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02x}"),
    });
    Path::new(&folder).join(name.collect::<String>())
}

/// Removes what [`checkpoints`] holds, where nothing is to go on from it any more.
pub fn remove_checkpoints(store: &Path, name: &str) {
    remove_folder(&checkpoints(store, name));
}

/// Removes a folder beside a store. A file that cannot be removed does no harm.
fn remove_folder(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder);
    // The last study takes the folder of all with it.
    let _ = folder.parent().map(std::fs::remove_dir);
}

/// A study as its log has it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// What it was begun with.
    pub identity: Identity,
    /// All trials that came out, by id.
    pub trials: Vec<Trial>,
    /// When each of them was asked and came out, in microseconds since 1970 UTC.
    pub times: Vec<[i64; 2]>,
    /// Candidates that were asked and have not come out yet.
    pub pending: Vec<Candidate>,
}

impl Store {
    /// Opens the store at `path` to write, made where there is none.
    ///
    /// # Errors
    /// When another process writes to it, it is no store or of another version, or the file or its folder cannot be written.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let open = || {
            let file = linked(path)?;
            if check_file(&file)?.is_some_and(|there| there.nlink() > 1) {
                return Err(StoreError::TwoNames);
            }
            let lock = lock::take(&file)?;
            // In full, so that no name means anything else to SQLite, as `:memory:` or `file:…`.
            let mut connection = Connection::open(std::path::absolute(file)?)?;
            connection.busy_timeout(PATIENCE)?;
            // Of a new file. A trial changes about ten pages, a row or two of each: small ones are less to write.
            connection.pragma_update(None, "page_size", 2048)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            // Kibibytes: rows are added at the ends of tables, so few pages are used again.
            connection.pragma_update(None, "cache_size", -256)?;
            // What the rows hang on is there by how they are written.
            connection.pragma_update(None, "foreign_keys", "OFF")?;
            connection.set_prepared_statement_cache_capacity(64);
            schema::prepare(&mut connection)?;
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
            let file = linked(path)?;
            if check_file(&file)?.is_none() {
                std::fs::metadata(&file)?;
            }
            let connection = read_only(&std::path::absolute(file)?)?;
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
        let names = || -> Result<Vec<String>, rusqlite::Error> {
            let mut rows = self
                .connection
                .prepare("SELECT study_name FROM studies ORDER BY study_id")?;
            rows.query_map([], |row| row.get(0))?.collect()
        };
        names().map_err(|e| StoreError::from(e).at(&self.path))
    }

    /// Checks that there is a study called `name`.
    ///
    /// # Errors
    /// When there is none, or the file cannot be read.
    pub fn require(&self, name: &str) -> Result<(), StoreError> {
        self.row(name).map(drop).map_err(|e| e.at(&self.path))
    }

    /// Whether there is a study called `name`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has(&self, name: &str) -> Result<bool, StoreError> {
        self.find(name)
            .map(|study| study.is_some())
            .map_err(|e| e.at(&self.path))
    }

    /// The study called `name`.
    ///
    /// # Errors
    /// When there is none of that name, another program made it, or its log is damaged.
    pub fn read(&self, name: &str) -> Result<Stored, StoreError> {
        self.read_study(name).map_err(|e| e.at(&self.path))
    }

    fn read_study(&self, name: &str) -> Result<Stored, StoreError> {
        let study = self.row(name)?;
        let (identity, _) = self.identity(study, name)?;
        let identity = Identity::from_json(&identity).map_err(|reason| StoreError::Damaged {
            name: name.to_owned(),
            at: format!("its identity: {reason}"),
        })?;
        let mut scorer = Scorer::new(&identity.goal, identity.repeats);
        let (mut trials, mut times, mut pending) = (Vec::new(), Vec::new(), Vec::new());
        // The first candidates that no other program made are the starting points.
        let mut starts = identity.start.len();
        for noted in history(&self.connection, study, name, &identity.space)? {
            let start = !noted.foreign && noted.retries.is_none() && starts > 0;
            starts -= usize::from(start);
            let (Some(outcome), Some(told)) = (noted.outcome, noted.told) else {
                pending.push(noted.candidate);
                continue;
            };
            let Scored { outcome, score, .. } = scorer.score(&noted.candidate.point, outcome);
            times.push([noted.asked, told]);
            trials.push(Trial {
                candidate: noted.candidate,
                origin: if noted.foreign || noted.retries.is_some() || start {
                    Origin::Foreign
                } else {
                    Origin::Own
                },
                outcome,
                score,
                curve: noted.curve,
                repeats: noted.repeats,
            });
        }
        Ok(Stored {
            name: name.to_owned(),
            identity,
            trials,
            times,
            pending,
        })
    }

    /// Removes a study with all its trials and what they left.
    ///
    /// # Errors
    /// When there is none of that name, or the file cannot be written.
    pub fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.remove_study(name).map_err(|e| e.at(&path))?;
        remove_folder(&checkpoints(&path, name));
        remove_folder(&artefacts(&path, name));
        Ok(())
    }

    fn remove_study(&mut self, name: &str) -> Result<(), StoreError> {
        let study = self.row(name)?;
        let transaction = self.connection.transaction()?;
        let which = "IN (SELECT trial_id FROM trials WHERE study_id = ?1)";
        optuna::forget_trials(&transaction, which, study)?;
        // The log goes with the last of them, by its trigger.
        for table in [
            "study_directions",
            "study_user_attributes",
            "study_system_attributes",
            "studies",
        ] {
            transaction.execute(&format!("DELETE FROM {table} WHERE study_id = ?1"), [study])?;
        }
        Ok(transaction.commit()?)
    }

    fn find(&self, name: &str) -> Result<Option<i64>, StoreError> {
        Ok(self
            .connection
            .query_row(
                "SELECT study_id FROM studies WHERE study_name = ?1",
                [name],
                |row| row.get(0),
            )
            .optional()?)
    }

    fn row(&self, name: &str) -> Result<i64, StoreError> {
        match self.find(name)? {
            Some(study) => Ok(study),
            None => Err(self.unknown(name)?),
        }
    }

    fn unknown(&self, name: &str) -> Result<StoreError, StoreError> {
        Ok(StoreError::Unknown {
            name: name.to_owned(),
            known: self.studies()?,
        })
    }

    /// What a study was begun with, and how many trials its budget allowed then.
    fn identity(&self, study: i64, name: &str) -> Result<(Json, Option<u64>), StoreError> {
        let not_ours = || StoreError::NotOurs {
            name: name.to_owned(),
        };
        if !schema::has_own_tables(&self.connection)? {
            return Err(not_ours());
        }
        let found = self
            .connection
            .query_row(
                "SELECT version, trials, identity FROM lapidary_studies WHERE study_id = ?1",
                [study],
                |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)),
            )
            .optional()?;
        let (version, trials, text) = found.ok_or_else(not_ours)?;
        schema::check_log(version)?;
        let identity = serde_json::from_str(&text).map_err(|e| StoreError::Damaged {
            name: name.to_owned(),
            at: format!("its identity: {e}"),
        })?;
        let trials: Option<i64> = trials;
        Ok((identity, trials.and_then(|n| u64::try_from(n).ok())))
    }
}

/// The file that `path` names: of a link what it leads to, whether that is there or not. SQLite keeps its log beside that, so our
/// lock and all else is there too.
fn linked(path: &Path) -> std::io::Result<PathBuf> {
    // As many as Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            // It is none, or is not there.
            Err(_) => return Ok(path),
        }
    }
    Err(Errno::ELOOP.into())
}

/// Refuses what is no file, which might be waited for, or one that is not SQLite's, before anything is made beside it; `None`
/// where there is none.
fn check_file(path: &Path) -> Result<Option<Metadata>, StoreError> {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let there = match std::fs::metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let kind = there.file_type();
    let what = if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    if !kind.is_file() {
        return Err(StoreError::NoFile { what });
    }
    let mut head = Vec::new();
    let file = File::open(path)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut head)?;
    if head.is_empty() || head == MAGIC {
        Ok(Some(there))
    } else {
        Err(StoreError::NotSqlite)
    }
}

/// A connection that only reads. In a folder that cannot be written SQLite's index beside the file may be missing; the file
/// is then read as it is, where nothing waits in its write-ahead log.
fn read_only(path: &Path) -> Result<Connection, StoreError> {
    let connect = |uri: &Path, more: OpenFlags| {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let connection = Connection::open_with_flags(uri, flags)?;
        connection.busy_timeout(PATIENCE)?;
        schema::check(&connection)?;
        Ok(connection)
    };
    let failed = match connect(path, OpenFlags::empty()) {
        Err(StoreError::Database(error)) => error,
        other => return other,
    };
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let settled = std::fs::metadata(wal).map_or(true, |wal| wal.len() == 0);
    let cannot_open = matches!(
        failed.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    );
    match path.to_str() {
        Some(text) if settled && cannot_open => {
            let escaped = text
                .replace('%', "%25")
                .replace('?', "%3f")
                .replace('#', "%23");
            let uri = format!("file:{escaped}?immutable=1");
            connect(Path::new(&uri), OpenFlags::SQLITE_OPEN_URI)
        }
        _ => Err(failed.into()),
    }
}
