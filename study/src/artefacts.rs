//! What trials left besides their metrics, for as long as no other trial beats them: files by the hash of their content, in a
//! folder of the study's, and for each trial a label that says which are its.
//!
//! It is a short cut only. What is lost is made again by evaluating the trial again, to the same bits, so nothing fails where a
//! file cannot be written or read, and the worst trials' files go where together they take more than they may.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{Artefact, Artefacts, Evaluator, evaluate_again};
use lapidary_core::goal::Goal;
use lapidary_core::log::{Log, LogError};
use lapidary_core::model::Model;
use lapidary_core::rank::{self, Front};
use lapidary_core::registry::Registry;
use lapidary_core::space::PointKey;
use lapidary_core::study::lineage;
use lapidary_core::trial::{Candidate, Outcome, Score, Trial};
use lapidary_files::write_whole;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::identity::Identity;
use crate::models;

/// Bytes that all files together may take: 1 GiB.
const MOST: u64 = 1 << 30;
/// What the names of labels begin with; the trial's number follows.
const LABEL: &str = "trial-";
/// The folder in which workers lay down what they hand over.
const HANDED: &str = "handed";

/// A file that is kept under the hash of its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kept {
    /// BLAKE3 of the content, in hexadecimal.
    pub hash: String,
    /// Size of the content.
    pub bytes: u64,
}

/// What a trial left, by name.
pub type Files = BTreeMap<String, Kept>;

/// What a trial left, and which trial of which study it is.
#[derive(Serialize, Deserialize)]
struct Label {
    of: String,
    artefacts: Files,
}

/// The folder of a study's artefacts.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
    /// The study's identity: what was kept of another study under the same name is not its own.
    study: String,
}

impl Shelf {
    /// That of the study of `identity` in `folder`, which need not exist.
    pub fn new(folder: &Path, identity: &Identity) -> Self {
        Self {
            folder: folder.to_owned(),
            study: identity.to_json().to_string(),
        }
    }

    /// What is kept of the trial of `candidate`; empty where nothing is.
    pub fn files(&self, candidate: &Candidate) -> Files {
        let label = read_label(&self.label(candidate.id));
        let label = label.filter(|label| label.of == self.of(candidate));
        label.map(|label| label.artefacts).unwrap_or_default()
    }

    /// What the trial of `candidate` left, each artefact as the bytes of its file; `None` where it is not kept, not whole or not
    /// as it was.
    pub fn read(&self, candidate: &Candidate) -> Option<Artefacts> {
        let files = self.files(candidate);
        (!files.is_empty()).then(|| read(&self.folder, &files))?
    }

    /// What the evaluation of `trial`, one of the study's `trials`, left: as it is kept, else by evaluating it again.
    ///
    /// # Errors
    /// The reason, where it has to be evaluated again and fails this time.
    pub fn left(
        &self,
        trial: &Trial,
        trials: &[Trial],
        evaluator: &dyn Evaluator,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Artefacts, String> {
        self.read(&trial.candidate).map_or_else(
            || {
                let lineage = lineage(trials, &trial.candidate);
                evaluate_again(evaluator, trial, &lineage, seed, cancel)
            },
            Ok,
        )
    }

    /// Which trial of which study it is, in a hash.
    fn of(&self, candidate: &Candidate) -> String {
        let trial = json!(candidate);
        hash(format!("{}\n{trial}", self.study).as_bytes())
    }

    fn label(&self, id: u64) -> PathBuf {
        self.folder.join(format!("{LABEL}{id}.json"))
    }

    fn write(
        &self,
        candidate: &Candidate,
        artefacts: &Artefacts,
        registry: &Registry,
    ) -> io::Result<Files> {
        let files = lay_down(&self.folder, artefacts, registry)?;
        let label = Label {
            of: self.of(candidate),
            artefacts: files,
        };
        write_whole(
            &self.label(candidate.id),
            json!(label).to_string().as_bytes(),
        )?;
        Ok(label.artefacts)
    }
}

/// The folder below `folder`, that of a study's artefacts, in which the worker of this number lays down what it hands over.
pub(crate) fn handed(folder: &Path, worker: usize) -> PathBuf {
    folder.join(HANDED).join(worker.to_string())
}

/// Removes what workers laid down below `folder` and nobody has taken.
pub(crate) fn remove_handed(folder: &Path) {
    let _ = fs::remove_dir_all(folder.join(HANDED));
}

/// Writes artefacts into `folder`, each under the hash of its content; models in the default format.
///
/// # Errors
/// When one cannot be written, or is a model that one file does not hold.
pub(crate) fn lay_down(
    folder: &Path,
    artefacts: &Artefacts,
    registry: &Registry,
) -> io::Result<Files> {
    fs::create_dir_all(folder)?;
    let kept = artefacts.iter().map(|(name, artefact)| {
        let kept = match artefact {
            Artefact::Bytes(bytes) => write(folder, bytes),
            Artefact::Model(model) => write_model(folder, model.as_ref(), registry),
        };
        Ok((name.clone(), kept?))
    });
    kept.collect()
}

/// Takes what was laid down in `folder` out of it; `None` where it is not whole or not as it was.
pub(crate) fn take(folder: &Path, files: &Files) -> Option<Artefacts> {
    let artefacts = read(folder, files);
    for kept in files.values() {
        let _ = fs::remove_file(folder.join(&kept.hash));
    }
    artefacts
}

fn read(folder: &Path, files: &Files) -> Option<Artefacts> {
    let artefacts = files.iter().map(|(name, kept)| {
        // A name that came from elsewhere leads nowhere else.
        let plain = kept.hash.bytes().all(|b| b.is_ascii_hexdigit());
        let bytes = fs::read(folder.join(&kept.hash)).ok().filter(|_| plain)?;
        (hash(&bytes) == kept.hash).then(|| (name.clone(), Artefact::Bytes(bytes)))
    });
    artefacts.collect()
}

fn write(folder: &Path, bytes: &[u8]) -> io::Result<Kept> {
    let kept = Kept {
        hash: hash(bytes),
        bytes: bytes.len() as u64,
    };
    let path = folder.join(&kept.hash);
    // What is damaged is written again.
    if fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(kept);
    }
    write_whole(&path, bytes)?;
    Ok(kept)
}

/// Keeps the file that a model is written as. One that takes several, since it was read from several or is larger than a file of
/// its form can be, is not kept.
fn write_model(folder: &Path, model: &dyn Model, registry: &Registry) -> io::Result<Kept> {
    let made = tempfile::tempdir_in(folder)?;
    let path = made.path().join(models::DEFAULT_NAME);
    models::save(registry, model, None, &path).map_err(io::Error::other)?;
    if fs::read_dir(made.path())?.count() > 1 {
        return Err(io::Error::other("it takes several files"));
    }
    let bytes = fs::read(&path)?;
    let kept = Kept {
        hash: hash(&bytes),
        bytes: bytes.len() as u64,
    };
    fs::rename(&path, folder.join(&kept.hash))?;
    Ok(kept)
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn read_label(path: &Path) -> Option<Label> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Keeps what the trials of a running study left on its [`Shelf`], for as long as no other trial beats them: a [`Log`] that notes
/// artefacts only.
pub struct Keeper<'a> {
    shelf: Shelf,
    registry: &'a Registry,
    goal: Goal,
    most: u64,
    /// The trials told so far that no other beats.
    front: Front<Score, Member>,
    /// What is on the shelf, by trial.
    kept: BTreeMap<u64, Entry>,
}

/// A trial of the front.
struct Member {
    id: u64,
    point: PointKey,
}

/// What is kept of a trial.
struct Entry {
    of: String,
    files: Files,
    /// How good the trial is, where that is known: not of one that an earlier run kept, until it is told.
    score: Option<Score>,
}

impl<'a> Keeper<'a> {
    /// Keeps on `shelf` what trials under `goal` leave, models in a format of the `registry`. This process is the only one that
    /// writes there.
    pub fn new(shelf: Shelf, goal: &Goal, registry: &'a Registry) -> Self {
        let mut keeper = Self {
            shelf,
            registry,
            goal: goal.clone(),
            most: MOST,
            front: Front::default(),
            kept: BTreeMap::new(),
        };
        keeper.sweep();
        keeper
    }

    /// Reads the labels that an earlier run left, and removes the files that none of them names.
    fn sweep(&mut self) {
        remove_handed(&self.shelf.folder);
        let entries = fs::read_dir(&self.shelf.folder).into_iter().flatten();
        let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        for path in &paths {
            let id = path.file_stem().and_then(|name| name.to_str());
            let id = id.and_then(|name| name.strip_prefix(LABEL)?.parse().ok());
            let Some((id, label)) = id.zip(read_label(path)) else {
                continue;
            };
            let entry = Entry {
                of: label.of,
                files: label.artefacts,
                score: None,
            };
            self.kept.insert(id, entry);
        }
        let named = self.sizes();
        let labels: BTreeSet<PathBuf> = self.kept.keys().map(|id| self.shelf.label(*id)).collect();
        for path in paths.iter().filter(|path| !labels.contains(*path)) {
            let name = path.file_name().and_then(|name| name.to_str());
            if !name.is_some_and(|name| named.contains_key(name)) {
                let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
            }
        }
    }

    /// The bytes of all files that are kept, by hash.
    fn sizes(&self) -> BTreeMap<&str, u64> {
        let files = self.kept.values().flat_map(|entry| entry.files.values());
        files.map(|kept| (kept.hash.as_str(), kept.bytes)).collect()
    }

    /// Drops what a trial left, but for files that another one left too.
    fn forget(&mut self, id: u64) {
        let Some(entry) = self.kept.remove(&id) else {
            return;
        };
        // The label first: none names what is not there.
        let _ = fs::remove_file(self.shelf.label(id));
        let others = self.sizes();
        for kept in entry.files.values() {
            if !others.contains_key(kept.hash.as_str()) {
                let _ = fs::remove_file(self.shelf.folder.join(&kept.hash));
            }
        }
    }

    /// Drops `newest` where it alone takes more than all may, then the worst until the others take no more.
    fn tidy(&mut self, newest: u64) {
        let files = self.kept.get(&newest).map(|entry| entry.files.values());
        if files
            .into_iter()
            .flatten()
            .map(|kept| kept.bytes)
            .sum::<u64>()
            > self.most
        {
            self.forget(newest);
        }
        while self.sizes().values().sum::<u64>() > self.most {
            let worst = self
                .kept
                .iter()
                .max_by(|(_, a), (_, b)| match (&a.score, &b.score) {
                    (Some(a), Some(b)) => rank::compare(a, b),
                    (a, b) => b.is_some().cmp(&a.is_some()),
                });
            let Some(worst) = worst.map(|(id, _)| *id) else {
                return;
            };
            self.forget(worst);
        }
    }
}

impl Log for Keeper<'_> {
    fn asked(&mut self, _: &Candidate) -> Result<(), LogError> {
        Ok(())
    }

    fn left(&mut self, candidate: &Candidate, outcome: &Outcome, artefacts: &Artefacts) {
        self.forget(candidate.id);
        let score = self.goal.score(outcome).ok();
        let score = score.filter(|_| candidate.fidelity == 1.0 && !artefacts.is_empty());
        let Some(score) = score.filter(|score| self.front.has_place_for(score)) else {
            return;
        };
        if let Ok(files) = self.shelf.write(candidate, artefacts, self.registry) {
            let entry = Entry {
                of: self.shelf.of(candidate),
                files,
                score: Some(score),
            };
            self.kept.insert(candidate.id, entry);
            self.tidy(candidate.id);
        }
    }

    fn told(&mut self, trial: &Trial) -> Result<(), LogError> {
        let (id, point) = (trial.candidate.id, trial.candidate.point.key());
        let full = trial.candidate.fidelity == 1.0 && trial.repeats.is_none();
        let score = trial.score.as_ref().filter(|_| full);
        let mut left = Vec::new();
        if let Some(score) = score {
            // Of a point that was evaluated several times the last counts.
            left = self.front.remove(|_, member| member.point == point);
            left.extend(self.front.add(score.clone(), Member { id, point }));
        } else {
            self.forget(id);
        }
        if let Some(entry) = self.kept.get_mut(&id) {
            entry.score = score.cloned();
            if entry.of != self.shelf.of(&trial.candidate) {
                self.forget(id);
            }
        }
        for member in left {
            self.forget(member.id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
