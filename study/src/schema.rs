//! JSON Schemas (draft 2020-12) of study files and recipes, so that editors complete and check them.
//!
//! They are made of the structs that the files are read into and of the settings of what is installed, and are as strict as the
//! readers: a key that a reader refuses is none of the schema's. Editors follow `anyOf` and `$ref` when they complete, but not
//! `if`; so a table that depends on another one lists all it may be, and conditions say which of it goes.

use lapidary_core::json::Json;
use lapidary_core::registry::{Entry, Kind, Registry};
use lapidary_core::settings::Schema;
use serde_json::{Map, json};

use crate::evaluate::models::MODEL_AXIS;
use crate::evaluate::train::{LEARNING_RATE_ALIAS, Training};
use crate::evaluate::{compress, models, train};
use crate::file::section::{AxisForm, DEFAULT_STRATEGY, Document};
use crate::file::{KIND, kinds};
use crate::measure::RUNTIME;

/// The standard that the schemas follow.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// A text that the point is filled into.
const PLACEHOLDER: &str = r"\{[^{}]+\}";

/// The schema of study files.
pub fn study(registry: &Registry) -> Json {
    let mut schema = Schema::of::<Document>().json();
    let searchers = names(registry, Kind::Searcher);
    let mut definitions = definitions(registry, Kind::Searcher);
    definitions.insert("axis".into(), Schema::of::<AxisForm>().json());
    let step = steps(registry, true);
    definitions.insert("step".into(), step);

    schema["$schema"] = DRAFT.into();
    schema["title"] = "Lapidary study file".into();
    let properties = &mut schema["properties"];
    for section in properties
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
    {
        // The defaults of its keys say it.
        section
            .as_object_mut()
            .map(|section| section.remove("default"));
    }
    properties["study"]["properties"]["strategy"]["enum"] = json!(searchers);
    let any: Vec<Json> = (searchers.iter())
        .map(|name| reference(Kind::Searcher, name))
        .collect();
    put(&mut properties["strategy"], "anyOf", any.into());
    properties["space"] = json!({
        "description": properties["space"]["description"],
        "type": "object",
        "minProperties": 1,
        "additionalProperties": { "$ref": "#/$defs/axis" },
    });
    put(&mut properties["runtime"], "oneOf", runtimes(registry));
    let kinds = evaluations(registry);
    put(
        &mut properties["evaluate"],
        "oneOf",
        kinds.iter().map(|(schema, _)| schema.clone()).collect(),
    );

    // The settings of the strategy that is named, or of the one that is meant where none is.
    let (default, others): (Vec<_>, Vec<_>) =
        (searchers.into_iter()).partition(|name| *name == DEFAULT_STRATEGY);
    let default = default.first().map_or(json!({}), |name| {
        table("strategy", reference(Kind::Searcher, name))
    });
    let strategy = (others.into_iter()).rfold(default, |others, name| {
        let named = is("study", &json!({ "strategy": { "const": name } }));
        when(
            named,
            table("strategy", reference(Kind::Searcher, name)),
            others,
        )
    });
    extend(&mut schema, strategy);
    // The axes that an evaluation reads, where they are known.
    let spaces = kinds.iter().filter_map(|(schema, axes)| {
        let axes: Map<String, Json> = (axes.as_ref()?.iter())
            .map(|name| (name.clone(), json!({ "$ref": "#/$defs/axis" })))
            .collect();
        let keys = schema.get("properties")?.as_object()?.iter();
        let consts: Map<String, Json> = keys
            .filter_map(|(key, one)| Some((key.clone(), json!({ "const": one.get("const")? }))))
            .collect();
        let axes = json!({ "properties": axes, "additionalProperties": false });
        Some((is("evaluate", &consts.into()), table("space", axes)))
    });
    let spaces: Vec<_> = spaces.collect();
    let space = (spaces.into_iter()).rfold(json!({}), |others, (evaluated, space)| {
        when(evaluated, space, others)
    });
    schema["dependentSchemas"] = json!({ "evaluate": space });
    schema["$defs"] = definitions.into();
    clean(&mut schema);
    schema
}

/// The schema of recipe files.
pub fn recipe(registry: &Registry) -> Json {
    let mut definitions = definitions(registry, Kind::Family);
    definitions.insert("step".into(), steps(registry, false));
    let mut schema = json!({
        "$schema": DRAFT,
        "title": "Lapidary recipe",
        "description": "Optimizers to apply one after the other.",
        "type": "object",
        "properties": { "step": {
            "description": "An optimizer with its settings.",
            "anyOf": [
                { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/step" } },
                { "$ref": "#/$defs/step" },
            ],
        } },
        "required": ["step"],
        "additionalProperties": false,
        "$defs": definitions,
    });
    clean(&mut schema);
    schema
}

fn entries(registry: &Registry, kind: Kind) -> impl Iterator<Item = &Entry> {
    let entries = registry.entries().map(|(entry, _)| entry);
    entries.filter(move |entry| entry.kind() == kind)
}

fn names(registry: &Registry, kind: Kind) -> Vec<&'static str> {
    entries(registry, kind)
        .map(|entry| entry.info.name)
        .collect()
}

fn key(kind: Kind, name: &str) -> String {
    format!("{}.{name}", kind.word())
}

fn reference(kind: Kind, name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{}", key(kind, name)) })
}

/// The settings of all that is installed of a kind.
fn definitions(registry: &Registry, kind: Kind) -> Map<String, Json> {
    let all = entries(registry, kind).map(|entry| {
        let schema = settings(registry, entry, true);
        (key(kind, entry.info.name), schema)
    });
    all.collect()
}

/// The schema of settings, with the names of what is installed where one of them is set; where they are `nested`, with the
/// settings of what is named, which are defined then.
fn settings(registry: &Registry, entry: &Entry, nested: bool) -> Json {
    let mut schema = entry.info.settings.json();
    schema["description"] = entry.info.summary.into();
    let properties = schema.get("properties").and_then(Json::as_object);
    let found = properties.into_iter().flatten().find_map(|(name, one)| {
        let word = one.get("x-entry")?.as_str()?;
        let kinds = [Kind::Searcher, Kind::Optimizer, Kind::Family];
        let kind = kinds.into_iter().find(|kind| kind.word() == word)?;
        Some((name.clone(), kind, one.get("default").cloned()))
    });
    let Some((by, kind, default)) = found else {
        return schema;
    };
    let properties = schema["properties"].as_object();
    let of = (properties.into_iter().flatten())
        .find(|(_, one)| one.get("x-settings-of") == Some(&by.as_str().into()))
        .map(|(name, _)| name.clone());
    let mut installed = names(registry, kind);
    // None is made around itself.
    installed.retain(|name| (kind, *name) != (entry.kind(), entry.info.name));
    // A name that is not installed may be something else, a file for example.
    let open = schema["properties"][&by].get("x-open").is_some();
    let listed = &mut schema["properties"][&by];
    match open {
        true => put(listed, "anyOf", json!([{ "enum": installed }, {}])),
        false => put(listed, "enum", json!(installed)),
    }
    let Some(of) = of.filter(|_| nested) else {
        return schema;
    };
    let any: Vec<Json> = (installed.iter())
        .map(|name| reference(kind, name))
        .collect();
    put(&mut schema["properties"][&of], "anyOf", any.into());
    let chosen = installed.iter().rfold(json!({}), |others, name| {
        let named = json!({ "properties": { &by: { "const": name } } });
        // Where the name is left out it is the default.
        let named = match default.as_ref() == Some(&(*name).into()) {
            true => named,
            false => json!({ "properties": named["properties"], "required": [&by] }),
        };
        when(named, table(&of, reference(kind, name)), others)
    });
    extend(&mut schema, chosen);
    schema
}

/// The steps of a recipe, in a study file with placeholders in their settings.
fn steps(registry: &Registry, filled: bool) -> Json {
    let tables = entries(registry, Kind::Optimizer).map(|entry| {
        let name = entry.info.name;
        let mut schema = settings(registry, entry, !filled);
        let properties = schema["properties"].as_object_mut();
        if filled {
            for one in properties.into_iter().flat_map(Map::values_mut) {
                let or = json!({ "type": "string", "pattern": PLACEHOLDER });
                let described = one["description"].take();
                *one = json!({ "description": described, "anyOf": [one.take(), or] });
            }
        }
        closed(&[
            json!({
                "description": schema["description"],
                "properties": { "name": { "description": "The optimizer.", "const": name } },
                "required": ["name"],
            }),
            schema,
        ])
    });
    json!({ "oneOf": tables.collect::<Vec<_>>() })
}

/// What `[runtime]` may be.
fn runtimes(registry: &Registry) -> Json {
    let tables = entries(registry, Kind::Runtime).map(|entry| {
        let name = entry.info.name;
        let required: &[&str] = if name == RUNTIME { &[] } else { &["name"] };
        closed(&[
            json!({
                "description": entry.info.summary,
                "properties": { "name": { "description": "The runtime.", "const": name } },
                "required": required,
            }),
            settings(registry, entry, false),
        ])
    });
    tables.collect()
}

/// What `[evaluate]` may be, with the axes that it reads where they are known.
fn evaluations(registry: &Registry) -> Vec<(Json, Option<Vec<String>>)> {
    let mut evaluations = Vec::new();
    for name in kinds(registry, |_| true) {
        let Ok(entry) = registry.entry(Kind::Evaluator, name) else {
            continue;
        };
        let mut settings = entry.info.settings.json();
        settings["description"] = entry.info.summary.into();
        let kind = json!({ "properties": { KIND: { "const": name } }, "required": [KIND] });
        if name == train::ENTRY.info.name {
            trainings(registry, &[kind, settings], &mut evaluations);
            continue;
        }
        let mut axes = None;
        if name == compress::ENTRY.info.name {
            let optimizers = names(registry, Kind::Optimizer).join("|");
            let step = json!({ "anyOf": [
                { "type": "string", "pattern": format!(r"^\s*({optimizers})\s*(:.*)?$") },
                { "$ref": "#/$defs/step" },
            ] });
            let either = json!([step, { "type": "array", "items": step }]);
            put(&mut settings["properties"]["recipe"], "anyOf", either);
        } else if name == models::ENTRY.info.name {
            axes = Some(vec![MODEL_AXIS.into()]);
        }
        evaluations.push((closed(&[kind, settings]), axes));
    }
    evaluations
}

/// What `[evaluate]` may be where models of a family are trained, whose settings stand beside those of `parts`.
fn trainings(
    registry: &Registry,
    parts: &[Json; 2],
    evaluations: &mut Vec<(Json, Option<Vec<String>>)>,
) {
    let training = Schema::of::<Training>().json();
    let lr = training["properties"]["learning_rate"].clone();
    let lr = json!({ "properties": { LEARNING_RATE_ALIAS: lr } });
    for entry in entries(registry, Kind::Family) {
        let [kind, mut own] = parts.clone();
        put(
            &mut own["properties"]["family"],
            "const",
            entry.info.name.into(),
        );
        let settings = closed(&[entry.info.settings.json(), training.clone(), lr.clone()]);
        let axes = settings["properties"].as_object();
        let axes = axes.map(|axes| axes.keys().cloned().collect());
        evaluations.push((closed(&[kind, own, settings]), axes));
    }
}

/// One object of the properties of several, closed.
fn closed(parts: &[Json]) -> Json {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for part in parts {
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if let Some(description) = parts.iter().find_map(|part| part.get("description")) {
        schema["description"] = description.clone();
    }
    // Conditions on settings beside each other.
    for part in parts {
        let conditions = ["if", "then", "else"].iter();
        conditions.for_each(|key| {
            if let Some(condition) = part.get(key) {
                schema[key] = condition.clone();
            }
        });
    }
    schema
}

/// That a table has properties as they are wanted.
fn is(table: &str, properties: &Json) -> Json {
    let keys: Vec<&String> = properties
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .collect();
    json!({
        "properties": { table: { "properties": properties, "required": keys } },
        "required": [table],
    })
}

/// That a table, where it is there, fits a schema.
fn table(name: &str, schema: Json) -> Json {
    json!({ "properties": { name: schema } })
}

fn when(condition: Json, then: Json, others: Json) -> Json {
    json!({ "if": condition, "then": then, "else": others })
}

fn extend(schema: &mut Json, more: Json) {
    if let (Json::Object(schema), Json::Object(more)) = (schema, more) {
        schema.extend(more);
    }
}

/// Sets the keyword that says what a value may be, in place of those that said it.
fn put(schema: &mut Json, keyword: &str, value: Json) {
    if let Json::Object(schema) = schema {
        let kept = ["description", "default", "examples"];
        schema.retain(|key, _| kept.contains(&key.as_str()));
        schema.insert(keyword.into(), value);
    }
}

/// Takes out what only we read, and `null`, which TOML has not.
fn clean(schema: &mut Json) {
    match schema {
        Json::Object(entries) => {
            entries.retain(|key, value| match key.as_str() {
                "x-kind" | "x-entry" | "x-open" | "x-settings-of" => false,
                "default" | "description" => !value.is_null(),
                "format" => !value.is_string(),
                _ => true,
            });
            if let Some(Json::Array(types)) = entries.get_mut("type") {
                types.retain(|one| one != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    entries.insert("type".into(), one);
                }
            }
            for keyword in ["anyOf", "enum"] {
                if let Some(Json::Array(all)) = entries.get_mut(keyword) {
                    all.retain(|one| !one.is_null() && one.get("type") != Some(&"null".into()));
                }
            }
            let schemas = entries.iter_mut();
            let schemas =
                schemas.filter(|(key, _)| !matches!(key.as_str(), "default" | "examples"));
            schemas.for_each(|(_, schema)| clean(schema));
        }
        Json::Array(all) => all.iter_mut().for_each(clean),
        _ => {}
    }
}
