//! Schemas in words.

use crate::json::Json;

/// The keyword for types that a schema alone would say badly: what a value is, in words without an article.
pub(super) const KIND: &str = "x-kind";

/// The types that a schema names.
pub(super) fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The values there are, where a schema counts them up.
pub(super) fn options(schema: &Json) -> Option<Vec<&Json>> {
    if let Some(one) = schema.get("const") {
        return Some(vec![one]);
    }
    if let Some(Json::Array(all)) = schema.get("enum") {
        return Some(all.iter().collect());
    }
    // Alternatives that are all counted up, `null` among them.
    let all = alternatives(schema)?.iter().map(|one| {
        let null = types(one) == ["null"];
        null.then(|| vec![&Json::Null]).or_else(|| options(one))
    });
    all.collect::<Option<Vec<_>>>().map(|all| all.concat())
}

/// The schemas of which a value has to fit one; none beside properties, where they say what goes together.
pub(super) fn alternatives(schema: &Json) -> Option<&Vec<Json>> {
    if schema.get("properties").is_some() {
        return None;
    }
    let several = schema.get("anyOf").or_else(|| schema.get("oneOf"));
    several.and_then(Json::as_array)
}

/// The number that a value of a schema stands for: an `f32` is the shortest decimal that reads as it, as people write it.
pub(super) fn number(schema: &Json, value: &Json) -> Option<f64> {
    let single = schema.get("format").is_some_and(|f| f == "float");
    let value = value.as_f64()?;
    Some(match single {
        true => shortest(value),
        false => value,
    })
}

/// The shortest decimal that is the same `f32`.
pub(super) fn shortest(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}

/// A type with its bounds: `whole number of at least 1`, `one of "a", "b"`.
pub(super) fn kind(schema: &Json) -> String {
    match split(schema) {
        (base, true) => format!("{base}, or null"),
        (base, false) => base,
    }
}

/// What is wanted, as `must be …` goes on.
pub(super) fn wanted(schema: &Json) -> String {
    let (base, null) = split(schema);
    let article = match base.split(' ').next() {
        Some("one" | "true" | "any") => "",
        _ => "a ",
    };
    let null = if null { ", or null" } else { "" };
    format!("{article}{base}{null}")
}

/// The kind but for `null`, and whether that is a value too.
fn split(schema: &Json) -> (String, bool) {
    if let Some(kind) = schema.get(KIND).and_then(Json::as_str) {
        return (kind.to_owned(), false);
    }
    if let Some(options) = options(schema) {
        let null = options.iter().any(|option| option.is_null());
        let shown: Vec<String> = (options.iter().filter(|option| !option.is_null()))
            .map(|option| show(option))
            .collect();
        return (format!("one of {}", shown.join(", ")), null);
    }
    if let Some(alternatives) = alternatives(schema) {
        let (nulls, others): (Vec<_>, Vec<_>) =
            (alternatives.iter()).partition(|one| types(one) == ["null"]);
        let kinds: Vec<String> = others.into_iter().map(kind).collect();
        return (kinds.join(" or "), !nulls.is_empty());
    }
    let types = types(schema);
    let bounds = bounds(schema).map(|bounds| match bounds.starts_with("at ") {
        true => format!(" of {bounds}"),
        false => format!(" {bounds}"),
    });
    let named: Vec<String> = (types.iter().filter(|one| **one != "null"))
        .map(|one| match *one {
            "integer" => format!("whole number{}", bounds.as_deref().unwrap_or_default()),
            "number" => format!("number{}", bounds.as_deref().unwrap_or_default()),
            "boolean" => "true or false".to_owned(),
            "array" => list(schema),
            "object" => table(schema),
            _ => "text".to_owned(),
        })
        .collect();
    let base = match named.is_empty() {
        true => "any value".to_owned(),
        false => named.join(" or "),
    };
    (base, types.contains(&"null"))
}

fn list(schema: &Json) -> String {
    let items = schema.get("items").map(|items| match options(items) {
        Some(options) => (options.iter())
            .map(|option| show(option))
            .collect::<Vec<_>>()
            .join(", "),
        None => plural(&kind(items)),
    });
    let count = |key: &str| schema.get(key).and_then(Json::as_u64);
    let mut text = format!("list of {}", items.unwrap_or_else(|| "values".into()));
    match (count("minItems"), count("maxItems")) {
        (Some(low), Some(high)) if low == high => text.push_str(&format!(", {low} of them")),
        (Some(low), _) => text.push_str(&format!(", at least {low}")),
        (None, Some(high)) => text.push_str(&format!(", at most {high}")),
        (None, None) => {}
    }
    if schema.get("uniqueItems") == Some(&true.into()) {
        text.push_str(", each once");
    }
    text
}

fn table(schema: &Json) -> String {
    match schema.get("additionalProperties") {
        Some(others @ Json::Object(_)) => format!("table of name = {}", kind(others)),
        _ => "table".to_owned(),
    }
}

/// A kind of which there are several: `whole numbers in 1..=6`.
fn plural(kind: &str) -> String {
    for word in ["whole number", "number", "text", "table", "list"] {
        if let Some(rest) = kind.strip_prefix(word) {
            return format!("{word}s{rest}");
        }
    }
    format!("values, {kind}")
}

/// The bounds of a number: `in 1..=6`, `in [0, 1)`, `above 0 and below 100`, `at least 1`; nothing where there are none.
pub(super) fn bounds(schema: &Json) -> Option<String> {
    let bound = |key: &str| {
        let bound = schema.get(key).and_then(|bound| number(schema, bound));
        bound.map(|bound| (plain(bound), key.starts_with("exclusive")))
    };
    let low = bound("exclusiveMinimum").or_else(|| bound("minimum"));
    let high = bound("exclusiveMaximum").or_else(|| bound("maximum"));
    let whole = types(schema).contains(&"integer");
    let low_word = |(low, open): &(String, bool)| match open {
        true => format!("above {low}"),
        false => format!("at least {low}"),
    };
    let high_word = |(high, open): &(String, bool)| match open {
        true => format!("below {high}"),
        false => format!("at most {high}"),
    };
    match (&low, &high) {
        (Some((low, false)), Some((high, false))) if whole => Some(format!("in {low}..={high}")),
        (Some((low, false)), Some((high, open))) => Some(format!(
            "in [{low}, {high}{}",
            if *open { ')' } else { ']' }
        )),
        (Some(low), Some(high)) => Some(format!("{} and {}", low_word(low), high_word(high))),
        (Some(low), None) => Some(low_word(low)),
        (None, Some(high)) => Some(high_word(high)),
        (None, None) => None,
    }
}

/// A value in a message about a schema.
pub(super) fn found(schema: &Json, value: &Json) -> String {
    number(schema, value).map_or_else(|| show(value), plain)
}

fn show(value: &Json) -> String {
    match value {
        Json::Number(n) if n.is_f64() => plain(n.as_f64().unwrap_or_default()),
        Json::Array(items) => format!("a list of {}", items.len()),
        Json::Object(_) => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// A number without needless zeros.
fn plain(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-4..1e9).contains(&size) => value.to_string(),
        _ => format!("{value:e}"),
    }
}
