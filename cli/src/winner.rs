//! What the best trial of a study left: its model, and the files that the model needs.

use std::path::{Path, PathBuf};

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{Artefact, Artefacts, Evaluator};
use lapidary_core::model::Model;
use lapidary_core::registry::Registry;
use lapidary_core::study::Finished;
use lapidary_core::trial::{Metrics, Trial};
use lapidary_study::artefacts::Shelf;
use lapidary_study::models;

use crate::end::Failure;
use crate::files;

/// The best trial, with what it left.
pub struct Winner<'a> {
    /// The trial.
    pub trial: &'a Trial,
    evaluator: &'a dyn Evaluator,
    registry: &'a Registry,
    artefacts: Artefacts,
}

impl<'a> Winner<'a> {
    /// The best trial of a study that has finished: what it left is on `shelf`, or is made again.
    pub fn of(
        finished: &'a Finished,
        shelf: &Shelf,
        evaluator: &'a dyn Evaluator,
        registry: &'a Registry,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<Option<Self>, Failure> {
        let Some(trial) = finished.best() else {
            return Ok(None);
        };
        let artefacts = shelf.left(trial, &finished.trials, evaluator, seed, cancel);
        let artefacts = artefacts.map_err(|reason| match cancel.is_cancelled() {
            true => Failure::Interrupted,
            false => Failure::work(format!(
                "the best trial cannot be evaluated again: {reason}"
            )),
        })?;
        Ok(Some(Self {
            trial,
            evaluator,
            registry,
            artefacts,
        }))
    }

    /// The model.
    pub fn model(&self) -> Result<Box<dyn Model>, Failure> {
        match self.artefact(Artefact::MODEL) {
            Some(Artefact::Model(model)) => Ok(model.share()),
            Some(Artefact::Bytes(bytes)) => {
                models::from_bytes(self.registry, bytes).map_err(Failure::work)
            }
            None => Err(Failure::work("the best trial is no model")),
        }
    }

    /// The model's metrics on samples that no trial has seen, where there are any.
    pub fn test(&self) -> Result<Option<Metrics>, Failure> {
        self.evaluator
            .test(&self.trial.candidate, self.model()?.as_ref())
            .map_err(Failure::of_model)
    }

    /// Writes the model to `path`, and the other artefacts beside it.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        // The model last: none is there without what it needs.
        for (name, artefact) in &self.artefacts {
            match artefact {
                Artefact::Bytes(bytes) if name != Artefact::MODEL => {
                    files::write(&beside(path, name)?, bytes).map_err(Failure::work)?;
                }
                _ => {}
            }
        }
        match self.artefact(Artefact::MODEL) {
            Some(Artefact::Bytes(bytes)) => models::save_bytes(self.registry, bytes, path),
            _ => models::save(self.registry, self.model()?.as_ref(), None, path),
        }
        .map_err(Failure::work)
    }

    fn artefact(&self, name: &str) -> Option<&Artefact> {
        let mut artefacts = self.artefacts.iter();
        artefacts.find(|(n, _)| n == name).map(|(_, a)| a)
    }
}

/// Where the artefact `name` of a trial whose model stands at `model` is written: `net.onnx` has `net.NAME` beside it.
fn beside(model: &Path, name: &str) -> Result<PathBuf, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let named = !name.is_empty() && name.chars().all(plain);
    // Only a plain name can be an extension.
    (named.then(|| model.with_extension(name)))
        .filter(|path| path != model)
        .ok_or_else(|| {
            Failure::work(format!(
                "the evaluator left an artefact called {name:?}, which is no name for a file beside {}",
                model.display()
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artefacts_are_written_beside_the_model_and_nowhere_else() {
        let model = Path::new("out/net.onnx");
        let path = beside(model, "encoder.json").unwrap();
        assert_eq!(path, Path::new("out/net.encoder.json"));
        for name in ["", "onnx", "../x", "a/b", "a b", "\0"] {
            assert!(beside(model, name).is_err(), "{name:?}");
        }
    }
}
