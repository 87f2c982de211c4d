//! What trials keep for later stages of them: a file for each trial, in a folder of the study's.
//!
//! It is a short cut only. What is lost is worked out again, to the same bits, so nothing fails where a file cannot be written or
//! read, and the oldest go where together they take more than they may.

use std::fs;
use std::path::{Path, PathBuf};

use lapidary_core::evaluator;
use lapidary_files::write_whole;

/// Bytes that all files together may take: 1 GiB.
const MOST: u64 = 1 << 30;
/// What the files' names begin with; the trial's number follows.
const PREFIX: &str = "trial-";

/// The kept states of a study's trials.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    most: u64,
}

impl Checkpoints {
    /// Those in `folder`, which is made with the first of them.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            most: MOST,
        }
    }

    fn path(&self, id: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{id}"))
    }

    /// Drops the oldest, but never `newest`, until the others take no more than they may.
    fn tidy(&self, newest: u64) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        let mut kept: Vec<(u64, u64)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name();
                let id = name.to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
                Some((id, entry.metadata().ok()?.len()))
            })
            .collect();
        kept.sort_unstable();
        let mut total: u64 = kept.iter().map(|(_, bytes)| bytes).sum();
        for (id, bytes) in kept {
            if total <= self.most {
                return;
            }
            if id != newest {
                let _ = fs::remove_file(self.path(id));
                total -= bytes;
            }
        }
    }
}

impl evaluator::Checkpoints for Checkpoints {
    fn save(&self, id: u64, origin: &str, state: &[u8]) {
        let bytes = [origin.as_bytes(), b"\n", state].concat();
        let written =
            fs::create_dir_all(&self.folder).and_then(|()| write_whole(&self.path(id), &bytes));
        if written.is_ok() {
            self.tidy(id);
        }
    }

    fn load(&self, id: u64, origin: &str) -> Option<Vec<u8>> {
        let bytes = fs::read(self.path(id)).ok()?;
        let rest = bytes.strip_prefix(origin.as_bytes())?.strip_prefix(b"\n")?;
        Some(rest.to_vec())
    }

    fn forget(&self, id: u64) {
        let _ = fs::remove_file(self.path(id));
    }
}

#[cfg(test)]
mod tests {
    use lapidary_core::evaluator::Checkpoints as _;

    use super::*;

    #[test]
    fn a_state_is_found_by_its_trial_and_origin_only() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Checkpoints::new(&dir.path().join("a/b"));
        let state = |byte: u8| vec![byte, b'\n', byte];
        kept.save(3, "origin", &state(1));
        assert_eq!(kept.load(3, "origin"), Some(state(1)));
        assert_eq!(kept.load(3, "origin of another"), None);
        assert_eq!(kept.load(3, "orig"), None);
        assert_eq!(kept.load(4, "origin"), None);
        kept.save(3, "origin", &state(2));
        assert_eq!(kept.load(3, "origin"), Some(state(2)));
        kept.forget(3);
        kept.forget(3);
        assert_eq!(kept.load(3, "origin"), None);
    }

    #[test]
    fn the_oldest_go_first_and_a_folder_that_cannot_be_written_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Checkpoints {
            most: 40,
            ..Checkpoints::new(dir.path())
        };
        for id in [2, 10, 9] {
            kept.save(id, "x", &[0; 14]);
        }
        let left = |id| kept.load(id, "x").is_some();
        assert_eq!([2, 9, 10].map(left), [false, true, true]);
        kept.save(1, "x", &[0; 99]);
        assert_eq!([1, 9, 10].map(left), [true, false, false]);

        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let nowhere = Checkpoints::new(&file);
        nowhere.save(1, "x", &[0]);
        assert_eq!(nowhere.load(1, "x"), None);
    }
}
