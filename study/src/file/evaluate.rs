//! The table `[evaluate]`: which evaluator, with which settings.

use std::path::{Path, PathBuf};

use lapidary_core::evaluator::Paths;
use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, EvalSource, Kind, Promise, Registry};
use lapidary_core::space::Axis;
use lapidary_core::text::{self, did_you_mean};

use super::place::Place;
use super::tree::{Item, Table, Value};
use crate::error::StudyFileError;
use crate::evaluate::ENTRIES;

/// The key that names the evaluator; all others are its settings.
pub(crate) const KIND: &str = "kind";

/// What a trial is.
#[derive(Debug, Clone)]
pub struct Evaluate {
    /// Name of the evaluator.
    pub kind: String,
    /// Its settings, an object; the evaluator checks them.
    pub settings: Json,
    /// The table, for mistakes only the evaluator can see.
    table: Table,
    /// The folder that paths in the study file count from.
    folder: PathBuf,
}

impl Evaluate {
    /// Reads the table of a study file in `folder`.
    pub(super) fn read(
        table: &Table,
        folder: &Path,
        registry: &Registry,
    ) -> Result<Self, StudyFileError> {
        let kind: String = table.required(KIND, "kind = \"train\"")?;
        let Ok(entry) = registry.entry(Kind::Evaluator, &kind) else {
            let kinds = kinds(registry, |_| true);
            let hint = did_you_mean(&kind, &kinds);
            let reason = format!(
                "no kind \"{kind}\"{hint}; there are {}",
                text::listed(&kinds)
            );
            let item = table.get(KIND).expect("it was just read");
            return Err(item.mistake(reason));
        };
        let listed = entry.info.settings.list();
        // A key of another kind is told before what this kind lacks.
        if entry.info.settings.json()["additionalProperties"] == false {
            let names = listed.iter().map(|one| one.name.as_str());
            table.check_keys(&std::iter::once(KIND).chain(names).collect::<Vec<_>>())?;
        }
        for one in listed.iter().filter(|one| one.default.is_none()) {
            table.required_item(&one.name, &format!("{} = {}", one.name, one.example))?;
        }
        let mut settings = table.clone();
        settings.remove(KIND);
        Ok(Self {
            kind,
            settings: settings.to_json(),
            table: table.clone(),
            folder: folder.to_owned(),
        })
    }

    /// Where the settings come from.
    pub fn source<'a>(&'a self, installed: &'a Registry) -> EvalSource<'a> {
        EvalSource {
            installed,
            paths: self,
        }
    }

    /// Checks the settings, and gives the axes to search where the file has no `[space]`.
    pub(super) fn axes(&self, registry: &Registry) -> Result<Vec<Axis>, StudyFileError> {
        registry
            .evaluator_axes(&self.kind, &self.settings, &self.source(registry))
            .map_err(|error| self.placed(error))
    }

    /// The error where in the table it belongs.
    pub(super) fn placed(&self, error: BuildError) -> StudyFileError {
        let BuildError::Settings {
            reason,
            known,
            path,
            ..
        } = &error
        else {
            return StudyFileError::at(self.kind_place(), error.to_string());
        };
        match &path[..] {
            [] => StudyFileError::at(&self.table.place, reason),
            [key] if !known.contains(key) => {
                let known = known.iter().map(String::as_str);
                let keys: Vec<&str> = [KIND].into_iter().chain(known).collect();
                self.table.unknown(key, &keys)
            }
            path => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let place = self.item(&path).map_or(&self.table.place, |i| &i.place);
                StudyFileError::at(place, reason)
            }
        }
    }

    /// Where the table begins.
    pub(super) fn place(&self) -> &Place {
        &self.table.place
    }

    /// Where the kind is named.
    pub(super) fn kind_place(&self) -> &Place {
        let kind = self.table.get(KIND);
        kind.map_or(&self.table.place, |item| &item.place)
    }

    /// The value at a path of keys and positions in lists; as far as the path leads.
    fn item(&self, path: &[&str]) -> Option<&Item> {
        let (key, mut rest) = path.split_first()?;
        let mut item = self.table.get(key)?;
        while let Some((part, more)) = rest.split_first() {
            let inner = match &item.value {
                Value::Table(table) => table.get(part),
                Value::List(items) => part.parse().ok().and_then(|i: usize| items.get(i)),
                // One value stands for a list of one.
                _ => None,
            };
            item = inner.unwrap_or(item);
            rest = more;
        }
        Some(item)
    }
}

impl Paths for Evaluate {
    fn path(&self, under: &[&str], text: &str) -> PathBuf {
        let place = self.item(under).map_or(&self.table.place, |i| &i.place);
        place.resolve(text, &self.folder)
    }
}

/// The names of the evaluators for which `is` holds: those of this crate by how much they are used, then others.
pub(crate) fn kinds(registry: &Registry, is: impl Fn(&Entry) -> bool) -> Vec<&'static str> {
    let evaluators = registry.entries().map(|(entry, _)| entry);
    let evaluators = evaluators.filter(|entry| entry.kind() == Kind::Evaluator && is(entry));
    let mut names: Vec<&str> = evaluators.map(|entry| entry.info.name).collect();
    let rank = |name: &&str| ENTRIES.iter().position(|entry| entry.info.name == *name);
    names.sort_by_key(|name| rank(name).unwrap_or(ENTRIES.len()));
    names
}

/// The names of the evaluators that make a promise.
pub(crate) fn promising(registry: &Registry, promise: Promise) -> Vec<&'static str> {
    kinds(registry, |entry| entry.promises(promise))
}
