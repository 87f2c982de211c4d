//! The settings of an entry, described.

use std::fmt;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, json};

use super::check;
use super::error::SettingsError;
use super::words::{self, KIND};
use crate::json::Json;

/// The settings of an entry as a JSON Schema (draft 2020-12) of one object. It stands in a constant: the schema itself is made
/// when it is asked for. A setting may have keywords of ours, given by `#[schemars(extend(…))]`:
///
/// | keyword | meaning |
/// |---|---|
/// | `x-kind` | its type in words, where the schema says it badly |
/// | `x-entry` | it is the name of what is installed, of this kind (`"searcher"`); with `x-open` other texts will do as well |
/// | `x-settings-of` | it is the settings of what the setting of this name names |
#[derive(Clone, Copy)]
pub struct Schema(pub(super) &'static (dyn Fn() -> Json + Sync));

/// One setting, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Name, as in the study file or behind `--set`.
    pub name: String,
    /// Type and bounds: `whole number of at least 2`, `one of "a", "b"`.
    pub kind: String,
    /// Default, as JSON text; `None` for one that has to be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it does, a sentence or two.
    pub doc: String,
    /// A value it may have, as JSON text.
    pub example: String,
}

impl Schema {
    /// A schema that came from elsewhere, without references; `None` where it describes no table of named settings.
    pub fn given(schema: Json) -> Option<Self> {
        let named = schema.get("properties").is_some_and(Json::is_object);
        named.then(|| Self(Box::leak(Box::new(move || schema.clone()))))
    }

    /// The schema of settings of which no more is known than their description.
    pub fn listed(settings: &[Setting]) -> Self {
        let properties: Map<String, Json> = (settings.iter())
            .map(|setting| {
                let mut schema = json!({ "description": setting.doc, KIND: setting.kind });
                let default = setting.default.as_deref();
                if let Some(default) = default.and_then(|text| serde_json::from_str(text).ok()) {
                    schema["default"] = default;
                }
                (setting.name.clone(), schema)
            })
            .collect();
        let schema = json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        Self(Box::leak(Box::new(move || schema.clone())))
    }

    /// The schema: no references, and a `description` and a `default` for each property that has one.
    pub fn json(self) -> Json {
        (self.0)()
    }

    /// The settings there are, in the order of their definition.
    pub fn list(self) -> Vec<Setting> {
        let schema = self.json();
        let entries = schema.get("properties").and_then(Json::as_object);
        let entries = entries.into_iter().flatten();
        entries.map(|(name, one)| setting(name, one)).collect()
    }

    /// The names of the settings, in the order of their definition.
    pub fn names(self) -> Vec<String> {
        self.list().into_iter().map(|one| one.name).collect()
    }

    /// Whether what is given keeps types and bounds; names that are unknown or missing are not looked at.
    ///
    /// # Errors
    /// With the first value that does not.
    pub fn check(self, settings: &Json) -> Result<(), SettingsError> {
        check::check(&self.json(), settings, &mut Vec::new())
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.names()).finish()
    }
}

pub(super) fn derived<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    if let Some(schema) = schema.as_object_mut() {
        // The name of a Rust struct says nothing to who writes a study file.
        schema.remove("title");
    }
    tidy(&mut schema);
    schema
}

/// Writes defaults that are an `f32` as people do, 0.9 and not 0.8999999761581421, takes descriptions out of the lines in
/// which a doc comment stands, and drops options of a type that an `enum` of the setting leaves out.
fn tidy(schema: &mut Json) {
    match schema {
        Json::Object(entries) => {
            let left = entries.get("enum").and_then(Json::as_array).cloned();
            if let (Some(left), Some(Json::Array(all))) = (left, entries.get_mut("oneOf")) {
                all.retain(|one| one.get("const").is_none_or(|option| left.contains(option)));
            }
            let single = entries.get("format").is_some_and(|f| f == "float");
            for (key, value) in entries.iter_mut() {
                match (key.as_str(), &*value) {
                    ("default", Json::Number(n)) if single => {
                        *value = words::shortest(n.as_f64().unwrap_or_default()).into();
                    }
                    ("description", Json::String(text)) => *value = text.replace('\n', " ").into(),
                    _ => tidy(value),
                }
            }
        }
        Json::Array(all) => all.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn setting(name: &str, schema: &Json) -> Setting {
    let text = |key: &str| schema.get(key).and_then(Json::as_str).unwrap_or_default();
    Setting {
        name: name.to_owned(),
        kind: words::kind(schema),
        default: schema.get("default").map(Json::to_string),
        doc: text("description").to_owned(),
        example: example(schema).to_string(),
    }
}

/// A value that a setting may have, other than its default where one is known.
fn example(schema: &Json) -> Json {
    let default = schema.get("default");
    let given = schema.get("examples").and_then(|all| all.get(0)).cloned();
    let option = || {
        let options = words::options(schema)?;
        let mut options = options.into_iter().filter(|option| !option.is_null());
        options.find(|option| Some(*option) != default).cloned()
    };
    let other = || {
        default
            .and_then(Json::as_bool)
            .map(|default| Json::from(!default))
    };
    given
        .or_else(option)
        .or_else(other)
        .or_else(|| default.cloned())
        .unwrap_or_default()
}
