//! JSON as programs really write it: numbers that are not finite as bare words (`NaN`, `-Infinity`, as Python's `json` does),
//! floats beyond the largest one, bytes that are no UTF-8, a byte order mark in front.

use std::borrow::Cow;

/// The text of `line` without a byte order mark, what is no UTF-8 replaced.
pub(crate) fn text(line: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line))
}

/// The number that a word stands for which says that it is not finite.
pub(crate) fn not_finite(word: &str) -> Option<f64> {
    let (sign, size) = match word.as_bytes().first()? {
        b'-' => (-1.0, &word[1..]),
        b'+' => (1.0, &word[1..]),
        _ => (1.0, word),
    };
    match size.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "inf" | "infinity" => Some(sign * f64::INFINITY),
        _ => None,
    }
}

/// `text` with every number that is not finite in the form of [`lapidary_core::wire`], so that JSON's readers take it.
pub(crate) fn strict(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut strict, mut done, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        let begin = at;
        if bytes[at] == b'"' {
            at = string_end(bytes, at);
            continue;
        }
        while at < bytes.len() && is_of_word(bytes[at]) {
            at += 1;
        }
        if at == begin {
            at += 1;
        } else if let Some(form) = form(&text[begin..at]) {
            strict.push_str(&text[done..begin]);
            strict.push_str(form);
            done = at;
        }
    }
    if done == 0 {
        return text.into();
    }
    strict.push_str(&text[done..]);
    strict.into()
}

/// Whether a byte is of a number or a bare word.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-._".contains(&byte)
}

/// The form of a number or word that stands for something not finite.
fn form(word: &str) -> Option<&'static str> {
    let beyond = || word.parse().ok().filter(|v: &f64| !v.is_finite());
    let value = not_finite(word).or_else(beyond)?;
    Some(if value.is_nan() {
        r#""nan""#
    } else if value > 0.0 {
        r#""inf""#
    } else {
        r#""-inf""#
    })
}

/// Where the string that begins at `at` has ended; the end of the text where it has none.
pub(crate) fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_finite_are_read_as_what_they_are() {
        for (written, read) in [
            (r#"{"a": NaN}"#, r#"{"a": "nan"}"#),
            (
                r#"{"a":-Infinity,"b":Infinity}"#,
                r#"{"a":"-inf","b":"inf"}"#,
            ),
            (
                r#"[nan, -nan, inf, -inf, Inf]"#,
                r#"["nan", "nan", "inf", "-inf", "inf"]"#,
            ),
            (
                r#"{"a": 1e400, "b": -1e999}"#,
                r#"{"a": "inf", "b": "-inf"}"#,
            ),
            (
                r#"{"NaN": "NaN", "b\"NaN": 1}"#,
                r#"{"NaN": "NaN", "b\"NaN": 1}"#,
            ),
            (
                r#"{"a": 1e308, "b": true, "c": null}"#,
                r#"{"a": 1e308, "b": true, "c": null}"#,
            ),
            (r#"{"a": "NaN"#, r#"{"a": "NaN"#),
            (r#"{"a\"#, r#"{"a\"#),
            ("é NaN", "é \"nan\""),
            ("", ""),
        ] {
            assert_eq!(strict(written), read);
        }
        assert_eq!(text(b"\xef\xbb\xbf{\xff}"), "{\u{fffd}}");
    }
}
