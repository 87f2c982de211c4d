//! What can go wrong with a store.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::identity::Difference;

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
    #[error("{}{}", .0, advice(.0))]
    Database(#[from] rusqlite::Error),
    #[error("this is {what}, and a store is a file")]
    NoFile { what: &'static str },
    #[error(
        "the file has another name (a hard link), and SQLite would keep a log beside each; remove the other name, or copy the file"
    )]
    TwoNames,
    #[error("this is no SQLite file")]
    NotSqlite,
    #[error("this is an SQLite file, but no store of studies")]
    NoStore,
    #[error("the store has {found}; this program reads and writes {wanted}")]
    Schema { found: String, wanted: String },
    #[error(
        "another process{} is writing to it; wait until it ends, or use another store",
        process(holder)
    )]
    Locked { holder: String },
    #[error("no study `{name}`; there are {}", lapidary_core::text::listed(known))]
    Unknown { name: String, known: Vec<String> },
    #[error(
        "the study `{name}` is there already: go on with it (--resume), give this one another name, or remove it (`study rm`)"
    )]
    Exists { name: String },
    #[error("the study `{name}` was made by another program, not by a search of ours")]
    NotOurs { name: String },
    #[error("the study `{name}` was begun {difference}; only the budget may change on resume")]
    Changed {
        name: String,
        difference: Difference,
    },
    #[error("the log of study `{name}` is damaged: {at}")]
    Damaged { name: String, at: String },
    #[error(
        "trial {id} of study `{name}` was another candidate when it was first asked: another version of this program \
         wrote the study, or its log was changed"
    )]
    Differs { name: String, id: u64 },
}

fn process(holder: &str) -> String {
    if holder.is_empty() {
        String::new()
    } else {
        format!(" ({holder})")
    }
}

fn advice(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            "; what was told before is stored: make room and go on with it (--resume)"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another program has kept it locked for too long"
        }
        _ => "",
    }
}

impl StoreError {
    /// Whether the study was made by another program.
    pub fn is_not_ours(&self) -> bool {
        match self {
            Self::File { source, .. } => source.is_not_ours(),
            other => matches!(other, Self::NotOurs { .. }),
        }
    }

    pub(super) fn at(self, path: &Path) -> Self {
        match self {
            Self::File { .. } => self,
            other => Self::File {
                path: path.to_owned(),
                source: Box::new(other),
            },
        }
    }
}
