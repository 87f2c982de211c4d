//! Texts in which `{axis}` stands for the value of an axis. What is no name in braces, as `{a,b}` in a glob, is left alone,
//! and `{{axis}}` is the text `{axis}`.

use lapidary_core::json::Json;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Axis(&'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut at, mut done) = (0, 0);
    while let Some(open) = text[at..].find('{').map(|i| at + i) {
        let inner = &text[open + 1..];
        let length = inner
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
            .unwrap_or(inner.len());
        at = open + 1 + length;
        if length == 0 || !text[at..].starts_with('}') {
            continue;
        }
        if open > done && text[..open].ends_with('{') && text[at..].starts_with("}}") {
            pieces.push(Piece::Text(&text[done..open - 1]));
            pieces.push(Piece::Text(&text[open..=at]));
            at += 2;
        } else {
            pieces.push(Piece::Text(&text[done..open]));
            pieces.push(Piece::Axis(&inner[..length]));
            at += 1;
        }
        done = at;
    }
    pieces.push(Piece::Text(&text[done..]));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// `text` with the texts of its axes filled in; `None` where one of them has no value.
pub fn fill_text(text: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    pieces(text)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => Some(text.to_owned()),
            Piece::Axis(name) => value(name),
        })
        .collect()
}

/// `template` with its axes filled in: by the value itself where a text holds nothing else, by its text within others; an
/// inactive axis is empty there. `None` where the template is nothing but an inactive axis.
pub fn fill(template: &Json, values: &Json) -> Option<Json> {
    Some(match template {
        Json::String(text) => match &pieces(text)[..] {
            [Piece::Axis(name)] => return values.get(name).cloned(),
            _ => {
                let value = |name: &str| Some(values.get(name).map(as_text).unwrap_or_default());
                fill_text(text, value)?.into()
            }
        },
        Json::Array(items) => items.iter().filter_map(|item| fill(item, values)).collect(),
        Json::Object(map) => map
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), fill(value, values)?)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    })
}

/// A value within a text.
pub fn as_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Names of all axes in `text`.
pub fn names(text: &str) -> Vec<String> {
    let name = |piece| match piece {
        Piece::Axis(name) => Some(name.to_owned()),
        Piece::Text(_) => None,
    };
    pieces(text).into_iter().filter_map(name).collect()
}

/// Names of all axes in the texts of `template`.
pub fn placeholders(template: &Json) -> Vec<String> {
    match template {
        Json::String(text) => names(text),
        Json::Array(items) => items.iter().flat_map(placeholders).collect(),
        Json::Object(map) => map.values().flat_map(placeholders).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn placeholders_take_the_type_of_their_axis() {
        let values = json!({"bits": 4, "rate": 0.5, "kind": "conv", "on": true});
        let template = json!({
            "bits": "{bits}", "rate": "{rate}", "fast": "{on}", "left": "{inactive}",
            "layers": ["{kind}*", "{a,b}x", "{kind}-{bits}{"],
        });
        assert_eq!(
            fill(&template, &values).unwrap(),
            json!({
                "bits": 4, "rate": 0.5, "fast": true,
                "layers": ["conv*", "{a,b}x", "conv-4{"],
            })
        );
        assert_eq!(
            placeholders(&template),
            ["bits", "rate", "on", "inactive", "kind", "kind", "bits"]
        );
    }

    #[test]
    fn doubled_braces_are_braces() {
        let value = |name: &str| (name == "x").then(|| "1".to_owned());
        for (text, filled) in [
            ("{{x}}", Some("{x}")),
            ("{{x}} {x}", Some("{x} 1")),
            ("{{{x}}}", Some("{{x}}")),
            ("{{x}", Some("{1")),
            ("{x}}", Some("1}")),
            ("{\"a\": {x}, \"b\": {{}}}", Some("{\"a\": 1, \"b\": {{}}}")),
            ("", Some("")),
            ("{y}", None),
        ] {
            assert_eq!(fill_text(text, value).as_deref(), filled, "{text}");
        }
    }
}
