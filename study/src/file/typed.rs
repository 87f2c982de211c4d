//! Tables read into structs, whose definition says which keys there are and what their values may be.

use lapidary_core::settings::{Schema, Settings, SettingsError};

use super::tree::{Item, Table, Value};
use crate::error::StudyFileError;

impl Table {
    /// Reads the table into a struct.
    ///
    /// # Errors
    /// When a key is unknown or missing, or a value does not fit, with the place where it stands.
    pub fn typed<T: Settings>(&self) -> Result<T, StudyFileError> {
        self.check::<T>()?;
        serde_path_to_error::deserialize(self.to_json()).map_err(|error| {
            let path: Vec<String> = error.path().iter().map(ToString::to_string).collect();
            // What a schema cannot say is known to the type of the value, which says what it wants.
            self.refuse(&path, &error.inner().to_string())
        })
    }

    /// Refuses keys that are unknown or missing, and values that do not fit a struct.
    ///
    /// # Errors
    /// As [`Table::typed`].
    pub fn check<T: Settings>(&self) -> Result<(), StudyFileError> {
        let schema = Schema::of::<T>();
        let listed = schema.list();
        let names: Vec<&str> = listed.iter().map(|one| one.name.as_str()).collect();
        self.check_keys(&names)?;
        for one in listed.iter().filter(|one| one.default.is_none()) {
            self.required_item(&one.name, &format!("{} = {}", one.name, one.example))?;
        }
        match schema.check(&self.to_json()) {
            Ok(()) => Ok(()),
            Err(SettingsError::Value { path, wanted, .. }) => {
                // Which TOML has not.
                let wanted = wanted.trim_end_matches(", or null");
                Err(self.refuse(&path, wanted))
            }
            Err(SettingsError::Unfit(reason)) => Err(StudyFileError::at(&self.place, reason)),
        }
    }

    /// The error that the value at a path is not what is wanted.
    fn refuse(&self, path: &[String], wanted: &str) -> StudyFileError {
        let found = path
            .split_first()
            .and_then(|(key, path)| self.get(key)?.below(path));
        match found {
            Some(item) => item.refuse(wanted),
            None => StudyFileError::at(&self.place, format!("it must be {wanted}")),
        }
    }
}

impl Item {
    /// The value at a path of keys and indices below this one.
    fn below(&self, path: &[String]) -> Option<&Item> {
        let Some((part, path)) = path.split_first() else {
            return Some(self);
        };
        match &self.value {
            Value::List(items) => items.get(part.parse::<usize>().ok()?)?.below(path),
            Value::Table(table) => table.get(part)?.below(path),
            _ => None,
        }
    }
}
