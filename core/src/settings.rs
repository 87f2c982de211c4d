//! Settings from one definition.
//!
//! The struct that an entry reads its settings into says all there is to know of them: names and types are those of its
//! fields, defaults those of its `Default`, the doc comment of a field says what it does, bounds and examples stand in
//! `#[schemars(…)]`. From it come the list that `lapidary info` shows, the reference page, the schema of study files, and
//! the check that makes [`Checked`] settings, the only ones an algorithm takes (after linfa's `ParamGuard`).
//!
//! ```
//! use lapidary_core::schemars::{self, JsonSchema};
//! use lapidary_core::settings::{Schema, Settings};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields, default)]
//! struct Config {
//!     /// Points that survive.
//!     #[schemars(range(min = 4, max = 1000))]
//!     population: usize,
//!     /// How often a child is mutated; null is 1 / axes.
//!     #[schemars(range(min = 0.0, max = 1.0), example = 0.2)]
//!     mutation_rate: Option<f64>,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { population: 20, mutation_rate: None }
//!     }
//! }
//!
//! impl Settings for Config {}
//!
//! let error = Config { population: 3, mutation_rate: None }.check().unwrap_err();
//! assert_eq!(error.to_string(), "`population` must be in 4..=1000, found 3");
//!
//! let listed = Schema::of::<Config>().list();
//! assert_eq!(listed[0].kind, "whole number in 4..=1000");
//! assert_eq!(listed[1].example, "0.2");
//! ```

mod check;
mod error;
mod schema;
mod words;

use std::ops::Deref;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use crate::json::Json;

pub use self::error::SettingsError;
use self::error::name;
pub use self::schema::{Schema, Setting};

/// Settings that can be described and checked. A struct should be `#[serde(deny_unknown_fields)]`, and `#[serde(default)]`
/// where all of it has defaults.
pub trait Settings: JsonSchema + Serialize + DeserializeOwned + 'static {
    /// What the bounds of single settings cannot say: how settings go together.
    ///
    /// # Errors
    /// With what does not, and what would have worked.
    fn cross_check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The settings, known to keep all bounds.
    ///
    /// # Errors
    /// When a setting is out of its bounds, or [`Settings::cross_check`] fails.
    fn check(self) -> Result<Checked<Self>, SettingsError>
    where
        Self: Sized,
    {
        // What is no number in JSON becomes `null` and is refused as such.
        let json = serde_json::to_value(&self).map_err(|e| SettingsError::Unfit(e.to_string()))?;
        Schema::of::<Self>().check(&json)?;
        self.cross_check().map_err(SettingsError::Unfit)?;
        Ok(Checked(self))
    }
}

impl Schema {
    /// That of the type that the settings are read into.
    pub const fn of<T: Settings>() -> Self {
        Self(&schema::derived::<T>)
    }
}

/// Settings whose bounds hold: only [`Settings::check`] and reading make them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Checked<T>(T);

impl<T> Deref for Checked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Settings> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer)?
            .check()
            .map_err(D::Error::custom)
    }
}

/// No settings at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl Settings for NoSettings {}

/// Reads checked settings from JSON, `null` standing for `{}`.
///
/// # Errors
/// When a setting is unknown, of another type or out of its bounds; the message names it.
pub fn read<T: Settings>(json: &Json) -> Result<Checked<T>, SettingsError> {
    let json = match json {
        Json::Null => Json::Object(serde_json::Map::new()),
        Json::Object(_) => json.clone(),
        // serde would read a list as the settings in their order.
        other => return Err(SettingsError::Unfit(format!("{other} is no table"))),
    };
    let settings: T = T::deserialize(&json).map_err(|error| {
        // serde does not say where.
        let at = match Schema::of::<T>().check(&json) {
            Err(SettingsError::Value { path, .. }) => format!(", at `{}`", name(&path)),
            _ => String::new(),
        };
        SettingsError::Unfit(format!("{error}{at}"))
    })?;
    settings.check()
}

/// Where settings that cannot be read are wrong: at a value that does not fit, or a name that is unknown; empty where it is
/// neither.
pub(crate) fn path_of<T: Settings>(json: &Json) -> Vec<String> {
    let schema = Schema::of::<T>();
    if let Err(SettingsError::Value { path, .. }) = schema.check(json) {
        return path;
    }
    let (names, keys) = (schema.names(), json.as_object());
    let mut keys = keys.into_iter().flat_map(serde_json::Map::keys);
    let unknown = keys.find(|key| !names.contains(key));
    unknown.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests;
