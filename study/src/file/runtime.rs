//! `[runtime]`: what runs the models when they are measured.

use std::path::Path;

use lapidary_core::json::Json;
use lapidary_core::registry::Registry;
use lapidary_core::runtime::Runtime;

use super::evaluate::resolve;
use super::tree::{Place, Table};
use crate::error::StudyFileError;
use crate::measure::RUNTIME;

/// What runs the models when they are measured.
#[derive(Debug, Clone)]
pub struct RuntimeSection {
    /// Name of the runtime.
    pub name: String,
    /// Its settings, an object; the registry checks them.
    pub settings: Json,
    place: Place,
}

impl RuntimeSection {
    /// Makes the runtime.
    ///
    /// # Errors
    /// When there is none of that name, its settings do not fit, or what it needs is not on this machine.
    pub fn make(&self, registry: &Registry) -> Result<Box<dyn Runtime>, StudyFileError> {
        registry
            .runtime(&self.name, &self.settings)
            .map_err(|e| StudyFileError::at(&self.place, e.to_string()))
    }
}

/// Reads the section; all keys but `name` are settings of the runtime.
pub(super) fn read_runtime(table: &Table, folder: &Path) -> Result<RuntimeSection, StudyFileError> {
    let named = table.get("name");
    let mut settings = table.clone();
    settings.remove("name");
    let mut settings = settings.to_json();
    if let Some(item) = table.get("library") {
        settings["library"] = resolve(item, folder)?.to_string_lossy().into();
    }
    Ok(RuntimeSection {
        name: table.read("name")?.unwrap_or_else(|| RUNTIME.to_owned()),
        settings,
        place: named.map_or(&table.place, |item| &item.place).clone(),
    })
}
