//! Whether a value keeps what a schema asks of it. Only what the schemas of settings use is read: they are derived, without
//! references. A validator of the whole standard would bring a regular-expression engine along, and its messages know nothing
//! of settings.

use super::error::SettingsError;
use super::words::{self, number};
use crate::json::Json;

/// Checks the `value` that stands at the path `at`, which is left as it was. Keys the schema does not name are passed over:
/// whoever reads the value knows what to say of them.
///
/// # Errors
/// With the first part that does not fit.
pub(super) fn check(
    schema: &Json,
    value: &Json,
    at: &mut Vec<String>,
) -> Result<(), SettingsError> {
    let refuse = |at: &[String], wanted: String| {
        Err(SettingsError::Value {
            path: at.to_vec(),
            wanted,
            found: words::found(schema, value),
        })
    };
    if let Some(options) = words::options(schema) {
        return match options.iter().any(|option| equal(option, value)) {
            true => Ok(()),
            false => refuse(at, words::wanted(schema)),
        };
    }
    if let Some(alternatives) = words::alternatives(schema) {
        let mut fitting = alternatives.iter().filter(|one| has_type(one, value));
        let Some(first) = fitting.next() else {
            return refuse(at, words::wanted(schema));
        };
        let found = check(first, value, at);
        return match found.is_err() && fitting.any(|one| check(one, value, at).is_ok()) {
            true => Ok(()),
            false => found,
        };
    }
    if !has_type(schema, value) {
        return refuse(at, words::wanted(schema));
    }
    match value {
        Json::Number(_) => match words::bounds(schema) {
            Some(bounds) if !within(schema, value) => refuse(at, bounds),
            _ => Ok(()),
        },
        Json::Array(items) => {
            let count = |key: &str| schema.get(key).and_then(Json::as_u64);
            let few = count("minItems").is_some_and(|least| (items.len() as u64) < least);
            let many = count("maxItems").is_some_and(|most| items.len() as u64 > most);
            let twice = schema.get("uniqueItems") == Some(&true.into())
                && (1..items.len()).any(|i| items[..i].contains(&items[i]));
            if few || many || twice {
                return refuse(at, words::wanted(schema));
            }
            let Some(schema) = schema.get("items") else {
                return Ok(());
            };
            let mut all = items.iter().enumerate();
            all.try_for_each(|(i, item)| below(schema, item, i.to_string(), at))
        }
        Json::Object(entries) => {
            let properties = schema.get("properties");
            let others = schema.get("additionalProperties");
            let mut all = entries.iter();
            all.try_for_each(|(key, value)| {
                let named = properties.and_then(|properties| properties.get(key));
                match named.or(others) {
                    Some(schema) => below(schema, value, key.clone(), at),
                    None => Ok(()),
                }
            })
        }
        _ => Ok(()),
    }
}

fn below(
    schema: &Json,
    value: &Json,
    part: String,
    at: &mut Vec<String>,
) -> Result<(), SettingsError> {
    at.push(part);
    let checked = check(schema, value, at);
    at.pop();
    checked
}

fn equal(option: &Json, value: &Json) -> bool {
    match (option.as_f64(), value.as_f64()) {
        (Some(option), Some(value)) => option == value,
        _ => option == value,
    }
}

/// Whether the value is of a type that the schema names, or the schema names none.
fn has_type(schema: &Json, value: &Json) -> bool {
    let types = words::types(schema);
    let unsigned = || schema.get("format").is_some_and(|f| starts(f, "uint"));
    types.is_empty()
        || types.iter().any(|one| match (*one, value) {
            ("null", Json::Null)
            | ("boolean", Json::Bool(_))
            | ("string", Json::String(_))
            | ("array", Json::Array(_))
            | ("object", Json::Object(_))
            | ("number", Json::Number(_)) => true,
            ("integer", Json::Number(n)) => n.is_u64() || (n.is_i64() && !unsigned()),
            _ => false,
        })
}

fn starts(text: &Json, with: &str) -> bool {
    text.as_str().is_some_and(|text| text.starts_with(with))
}

fn within(schema: &Json, value: &Json) -> bool {
    let value = number(schema, value).unwrap_or(f64::NAN);
    let keeps = |key: &str, holds: fn(f64, f64) -> bool| {
        let bound = schema.get(key).and_then(|bound| number(schema, bound));
        bound.is_none_or(|bound| holds(value, bound))
    };
    keeps("minimum", |v, b| v >= b)
        && keeps("exclusiveMinimum", |v, b| v > b)
        && keeps("maximum", |v, b| v <= b)
        && keeps("exclusiveMaximum", |v, b| v < b)
}
