//! `[runtime]`: what runs the models when they are measured.

use std::path::Path;

use lapidary_core::json::Json;

use super::place::Place;
use super::tree::{FromItem, Table};
use crate::error::StudyFileError;
use crate::measure::RUNTIME;

/// What runs the models when they are measured.
#[derive(Debug, Clone)]
pub struct RuntimeSection {
    /// Name of the runtime.
    pub name: String,
    /// Its settings, an object; the registry checks them.
    pub settings: Json,
    pub(super) place: Place,
}

/// Reads the section; all keys but `name` are settings of the runtime.
pub(super) fn read_runtime(table: &Table, folder: &Path) -> Result<RuntimeSection, StudyFileError> {
    let named = table.get("name");
    let mut settings = table.clone();
    settings.remove("name");
    let mut settings = settings.to_json();
    if let Some(item) = table.get("library") {
        let library = String::from_item(item)?;
        let library = item.place.resolve(&library, folder);
        settings["library"] = library.to_string_lossy().into();
    }
    Ok(RuntimeSection {
        name: table.read("name")?.unwrap_or_else(|| RUNTIME.to_owned()),
        settings,
        place: named.map_or(&table.place, |item| &item.place).clone(),
    })
}
