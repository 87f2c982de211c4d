//! Words for messages.

use std::borrow::Cow;

/// The names as `a, b, c`, cut after 20 with the count of the rest; `none` where there are none.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const MOST: usize = 20;
    if names.is_empty() {
        return "none".into();
    }
    let mut text = names
        .iter()
        .take(MOST)
        .map(|name| visible(name.as_ref()))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}

/// ` (did you mean …?)` where one of the names is close to `name`; nothing where none is.
pub fn did_you_mean<S: AsRef<str>>(name: &str, names: &[S]) -> String {
    names
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other.as_ref()), other.as_ref()))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, other)| {
            format!(" (did you mean `{other}`?)")
        })
}

/// `text` in one line, as a terminal may show it: control characters, line ends among them, and those that turn the direction of
/// writing stand as `\n` or `\u{1b}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    shown(text, |_| false)
}

/// The same in several lines: line ends and tabs are kept.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    shown(text, |c| c == '\n' || c == '\t')
}

fn shown(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_shown = |c: char| is_kept(c) || !(c.is_control() || turns(c));
    if text.chars().all(is_shown) {
        return text.into();
    }
    let mut shown = String::new();
    for c in text.chars() {
        if is_shown(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown.into()
}

/// What a caught panic says.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(visible("a b é 漢"), "a b é 漢");
        assert_eq!(
            visible("a\nb\t\u{1b}[31m\0\u{9b}\u{202e}"),
            "a\\nb\\t\\u{1b}[31m\\u{0}\\u{9b}\\u{202e}"
        );
        assert_eq!(visible_lines("a\r\n\tb\u{7}"), "a\\r\n\tb\\u{7}");
    }

    #[test]
    fn a_name_that_is_close_is_told() {
        let known = ["genetic", "greedy", "my-search"];
        assert_eq!(did_you_mean("genetc", &known), " (did you mean `genetic`?)");
        assert_eq!(
            did_you_mean("my_search", &known),
            " (did you mean `my-search`?)"
        );
        assert_eq!(did_you_mean("lattice", &known), "");
    }
}
