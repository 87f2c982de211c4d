//! Texts in which `{axis}` stands for the value of an axis, whatever characters its name has. What cannot be meant as a name, as
//! `{a,b}` in a glob, is left alone, and `{{axis}}` is the text `{axis}`.

use lapidary_core::json::Json;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    /// A known name, or one that is meant as such.
    Axis(&'a str),
}

fn pieces<'a, S: AsRef<str>>(text: &'a str, known: &[S]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let (mut at, mut done) = (0, 0);
    while let Some(open) = text[at..].find('{').map(|i| at + i) {
        let inner = &text[open + 1..];
        let length = inner.find(['{', '}']).unwrap_or(inner.len());
        at = open + 1 + length;
        let name = &inner[..length];
        if !text[at..].starts_with('}') || !is_name(name, known) {
            continue;
        }
        if open > done && text[..open].ends_with('{') && text[at..].starts_with("}}") {
            pieces.push(Piece::Text(&text[done..open - 1]));
            pieces.push(Piece::Text(&text[open..=at]));
            at += 2;
        } else {
            pieces.push(Piece::Text(&text[done..open]));
            pieces.push(Piece::Axis(name));
            at += 1;
        }
        done = at;
    }
    pieces.push(Piece::Text(&text[done..]));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// Whether what stands in braces is a known name, or can only be meant as one: a word, `model.lr`, `opt/lr`, `x:.3f`, or a
/// known name with blanks around. Ranges of shells (`1..5`) are none.
fn is_name<S: AsRef<str>>(inner: &str, known: &[S]) -> bool {
    let is_known = |name: &str| known.iter().any(|known| known.as_ref() == name);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let like_a_name = || {
        inner.starts_with(is_word)
            && !inner.contains("..")
            && inner.chars().all(|c| is_word(c) || "-./:!+*".contains(c))
    };
    is_known(inner) || is_known(inner.trim()) || like_a_name()
}

/// `text` with the texts of its axes, which are among the `known` names, filled in; `None` where one of them has no value.
pub fn fill_text<S: AsRef<str>>(
    text: &str,
    known: &[S],
    value: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    pieces(text, known)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => Some(text.to_owned()),
            Piece::Axis(name) => value(name),
        })
        .collect()
}

/// `template` with its axes filled in: by the value itself where a text holds nothing else, by its text within others; an
/// inactive axis is empty there. `None` where the template is nothing but an inactive axis.
pub fn fill<S: AsRef<str>>(template: &Json, known: &[S], values: &Json) -> Option<Json> {
    Some(match template {
        Json::String(text) => match &pieces(text, known)[..] {
            [Piece::Axis(name)] => return values.get(name).cloned(),
            _ => {
                let value = |name: &str| Some(values.get(name).map(as_text).unwrap_or_default());
                fill_text(text, known, value)?.into()
            }
        },
        Json::Array(items) => items
            .iter()
            .filter_map(|item| fill(item, known, values))
            .collect(),
        Json::Object(map) => map
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), fill(value, known, values)?)))
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
pub fn names<S: AsRef<str>>(text: &str, known: &[S]) -> Vec<String> {
    let name = |piece| match piece {
        Piece::Axis(name) => Some(name.to_owned()),
        Piece::Text(_) => None,
    };
    pieces(text, known).into_iter().filter_map(name).collect()
}

/// Names of all axes in the texts of `template`.
pub fn placeholders<S: AsRef<str>>(template: &Json, known: &[S]) -> Vec<String> {
    let inside = |value| placeholders(value, known);
    match template {
        Json::String(text) => names(text, known),
        Json::Array(items) => items.iter().flat_map(inside).collect(),
        Json::Object(map) => map.values().flat_map(inside).collect(),
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
            fill(&template, &[""; 0], &values).unwrap(),
            json!({
                "bits": 4, "rate": 0.5, "fast": true,
                "layers": ["conv*", "{a,b}x", "conv-4{"],
            })
        );
        assert_eq!(
            placeholders(&template, &[""; 0]),
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
            assert_eq!(fill_text(text, &["x"], value).as_deref(), filled, "{text}");
        }
    }

    #[test]
    fn names_may_hold_anything_and_what_is_meant_as_one_is_told_from_text() {
        let known = ["lr", "model.lr", "opt/wd", "with space", "größe", "a,b"];
        let filled = |text: &str| fill_text(text, &known, |name| Some(format!("<{name}>")));
        for name in known {
            let text = format!("--p={{{name}}}");
            assert_eq!(filled(&text), Some(format!("--p=<{name}>")));
        }
        for meant in [
            "lrr", "model.wd", "opt/lr", "lr:.3f", "lr!r", " lr ", "lr+1", "x-y",
        ] {
            assert_eq!(names(&format!("a{{{meant}}}b"), &known), [meant]);
        }
        for text in [
            "{}",
            "{b,c}",
            "{ echo; }",
            "{\"lr\": 1}",
            "{1..5}",
            "{print $1}",
            "{lr",
            "lr}",
        ] {
            assert_eq!(names(text, &known), [""; 0], "{text}");
            assert_eq!(filled(text).as_deref(), Some(text));
        }
        assert_eq!(
            filled("{\"a\": {model.lr}}").as_deref(),
            Some("{\"a\": <model.lr>}")
        );
    }
}
