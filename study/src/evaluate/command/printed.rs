//! What a program prints: which lines are its metrics, and what they say.
//!
//! The last object without a step is what was measured, as a whole, and where there is none the last one with a step. So what
//! came earlier never stands in for what came last: an object of metrics that cannot be read, or lacks a number for a metric of
//! the goal, makes a failed trial.

use std::fmt;

use lapidary_core::trial::Metrics;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::lines::LONGEST;
use crate::loose;

/// Characters of a line that are quoted when it is not understood.
const QUOTED: usize = 200;

/// Whole floats up to here are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a line says at once.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// Intermediate metrics at a step.
    Step(u64, Metrics),
    /// The trial has failed.
    Failed(String),
}

/// Reads what a program prints.
#[derive(Default)]
pub(super) struct Printed {
    /// Metrics that the goal reads.
    goal: Vec<String>,
    /// An object that goes on in the next line.
    open: Option<Open>,
    steps: Steps,
    /// The metrics of the last step.
    last: Option<Metrics>,
    /// The last metrics without a step.
    result: Option<Metrics>,
    /// Why the last object of metrics cannot be used, where it cannot.
    broken: Option<String>,
    /// What looks like metrics and is none.
    stray: Option<String>,
}

/// An object over several lines.
struct Open {
    text: String,
    depth: usize,
}

/// Steps as the study counts them.
#[derive(Default)]
struct Steps {
    printed: Option<u64>,
    told: Option<u64>,
}

impl Steps {
    /// The step of a report. One that does not rise, as where a second phase counts from 1 again, or that is no whole number,
    /// is counted on from the one before.
    fn next(&mut self, written: &Value) -> u64 {
        let printed = match written {
            Value::Number(v) if *v >= 0.0 && v.fract() == 0.0 && *v <= EXACT => Some(*v as u64),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let step = match (printed, self.printed, self.told) {
            (Some(printed), _, None) => printed,
            (Some(printed), Some(before), Some(told)) if printed > before => {
                told.saturating_add(printed - before)
            }
            (_, _, Some(told)) => told.saturating_add(1),
            (None, _, None) => 0,
        };
        (self.printed, self.told) = (printed, Some(step));
        step
    }
}

impl Printed {
    /// For a study whose goal reads the metrics `goal`.
    pub fn new(goal: &[String]) -> Self {
        Self {
            goal: goal.to_vec(),
            ..Self::default()
        }
    }

    /// Reads a line. What a progress bar has overwritten (`\r`) are lines too.
    pub fn line(&mut self, line: &[u8]) -> Vec<Said> {
        let line = loose::text(line);
        line.split('\r')
            .filter_map(|part| self.part(part))
            .collect()
    }

    /// Takes note of a line that is longer than any that is read; `begin` is what it begins with.
    pub fn too_long(&mut self, begin: &[u8]) {
        let begin = loose::text(begin);
        if unescaped(&begin).starts_with('{') {
            self.broken = Some(format!(
                "a line of its metrics is longer than {} MiB, which is the most that is read: {}",
                LONGEST >> 20,
                quoted(&begin)
            ));
        }
    }

    /// The metrics of the last step.
    pub fn into_last(self) -> Metrics {
        self.last.unwrap_or_default()
    }

    /// What was measured, at the end.
    ///
    /// # Errors
    /// Why there is nothing.
    pub fn measured(mut self) -> Result<Metrics, String> {
        if let Some(open) = self.open.take() {
            self.not_understood(&open.text);
        }
        if let Some(reason) = self.broken {
            return Err(reason);
        }
        self.result.or(self.last).ok_or_else(|| {
            let wanted = "it printed no metrics; a line of JSON is wanted, as {\"loss\": 0.3}";
            match self.stray {
                Some(line) => format!("{wanted}, but this is none: {line}"),
                None => wanted.to_owned(),
            }
        })
    }

    fn part(&mut self, part: &str) -> Option<Said> {
        let begins = unescaped(part);
        if let Some(mut open) = self.open.take() {
            // What is nested is indented, so that this is another object.
            if part.starts_with('{') {
                self.not_understood(&open.text);
            } else {
                open.text.push('\n');
                open.text.push_str(part);
                return match depth(part, open.depth) {
                    Some(0) => self.object(&open.text),
                    Some(depth) if open.text.len() <= LONGEST => {
                        open.depth = depth;
                        self.open = Some(open);
                        None
                    }
                    _ => {
                        self.not_understood(&open.text);
                        None
                    }
                };
            }
        }
        let inside = begins.strip_prefix('{')?.trim_start();
        match depth(begins, 0) {
            Some(depth @ 1..) if inside.is_empty() || inside.starts_with('"') => {
                let text = begins.to_owned();
                self.open = Some(Open { text, depth });
                None
            }
            _ => self.object(begins),
        }
    }

    fn object(&mut self, text: &str) -> Option<Said> {
        match serde_json::from_str(&loose::strict(text)) {
            Ok(Fields(fields)) => self.fields(&fields),
            Err(_) => {
                self.not_understood(text);
                None
            }
        }
    }

    /// Takes note of what begins like an object and is none.
    fn not_understood(&mut self, text: &str) {
        let line = quoted(text);
        let quotes = ['"', '\''];
        let is_named = |name: &String| {
            quotes
                .iter()
                .any(|q| text.contains(&format!("{q}{name}{q}")))
        };
        if self.goal.iter().any(is_named) {
            self.broken = Some(format!("its last metrics are no line of JSON: {line}"));
        }
        self.stray = Some(line);
    }

    fn fields(&mut self, fields: &[(String, Value)]) -> Option<Said> {
        match get(fields, "failed") {
            Some(Value::Text(reason)) => return Some(Said::Failed(reason.clone())),
            Some(Value::Bool(true)) => {
                return Some(Said::Failed("it said that it has failed".to_owned()));
            }
            _ => {}
        }
        let step = get(fields, "step");
        let measured = match get(fields, "metrics") {
            Some(Value::Object(named)) => named,
            _ => fields,
        };
        let is_step = |name: &str| name == "step" && std::ptr::eq(measured, fields);
        let (mut metrics, mut unread) = (Metrics::new(), None);
        for (name, value) in measured.iter().filter(|(name, _)| !is_step(name)) {
            let is_of_goal = self.goal.contains(name);
            match value.number() {
                Some(number) => {
                    metrics.insert(name.clone(), number);
                }
                // What other languages write for NaN.
                None if is_of_goal && matches!(value, Value::Null) => {
                    metrics.insert(name.clone(), f64::NAN);
                }
                None => {
                    metrics.remove(name);
                    if is_of_goal {
                        unread = Some(format!(
                            "its metric `{name}` is {value}, which is no number"
                        ));
                    }
                }
            }
        }
        if let Some(step) = step {
            let step = self.steps.next(step);
            self.broken = unread;
            self.last = Some(metrics.clone());
            return Some(Said::Step(step, metrics));
        }
        if unread.is_some() || !metrics.is_empty() {
            self.broken = unread;
            self.result = Some(metrics);
        }
        None
    }
}

/// `text` without blanks, a byte order mark and terminal sequences in front, and blanks behind.
fn unescaped(text: &str) -> &str {
    let mut text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    while let Some(sequence) = text.strip_prefix("\u{1b}[") {
        let end = sequence.find(|c: char| ('@'..='~').contains(&c));
        text = end.map_or("", |end| sequence[end + 1..].trim_start());
    }
    text
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}

/// How many braces and brackets are open behind `text`, of which `depth` were before it; `None` where more close than are open,
/// something follows the last, or a string does not end.
fn depth(text: &str, mut depth: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = loose::string_end(bytes, at);
                if bytes[at - 1] != b'"' {
                    return None;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return text[at + 1..].trim().is_empty().then_some(0);
                }
            }
            _ => {}
        }
        at += 1;
    }
    Some(depth)
}

/// The last value under a name.
fn get<'a>(fields: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    let found = fields.iter().rev().find(|(key, _)| key == name);
    found.map(|(_, value)| value)
}

/// A value in an object of metrics.
enum Value {
    Number(f64),
    Text(String),
    Bool(bool),
    Null,
    Object(Vec<(String, Value)>),
    /// A list, or an object within one of these.
    Other,
}

impl Value {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => loose::not_finite(text.trim()),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{:?}", quoted(text)),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::Null => f.write_str("null"),
            Self::Object(_) => f.write_str("an object"),
            Self::Other => f.write_str("a list or an object"),
        }
    }
}

/// An object's fields in the order they were written. What is nested deeper than metrics are is passed over, however deep.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match (Values { levels: 2 }).deserialize(deserializer)? {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(D::Error::custom("this is no object")),
        }
    }
}

/// Reads a value with so many levels of objects.
#[derive(Clone, Copy)]
struct Values {
    levels: usize,
}

impl<'de> DeserializeSeed<'de> for Values {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Some(levels) = self.levels.checked_sub(1) else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Other);
        };
        let mut fields = Vec::new();
        while let Some(name) = map.next_key()? {
            fields.push((name, map.next_value_seed(Self { levels })?));
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lines say on the way and at the end, where the goal reads `loss`.
    fn read(lines: &[&str]) -> (Vec<(u64, f64)>, Result<f64, String>) {
        let mut printed = Printed::new(&["loss".to_owned()]);
        let mut steps = Vec::new();
        for said in lines.iter().flat_map(|line| printed.line(line.as_bytes())) {
            match said {
                Said::Step(step, metrics) => {
                    steps.push((step, metrics.get("loss").copied().unwrap_or(-1.0)));
                }
                Said::Failed(reason) => return (steps, Err(reason)),
            }
        }
        let measured = printed.measured();
        (
            steps,
            measured.map(|m| m.get("loss").copied().unwrap_or(-1.0)),
        )
    }

    fn measured(lines: &[&str]) -> Result<f64, String> {
        read(lines).1
    }

    #[test]
    fn the_last_object_is_what_was_measured() {
        let last = |lines: &[&str]| measured(lines).unwrap();
        assert_eq!(
            last(&[r#"{"loss": 5, "acc": 1}"#, "done", r#"{"loss": 2}"#, "bye"]),
            2.0
        );
        assert_eq!(last(&[r#"{"loss": 1.0, "loss": 2.0}"#]), 2.0);
        // A later one without the objective lacks it, and does not mix with an earlier one.
        assert_eq!(last(&[r#"{"loss": 1}"#, r#"{"ts": 169, "pid": 4}"#]), -1.0);
        assert_eq!(last(&[r#"{"loss": 1}"#, r#"{"msg": "bye"}"#]), 1.0);
        assert_eq!(
            last(&[r#"{"step": 1, "loss": 4}"#, r#"{"step": 2, "loss": 3}"#]),
            3.0
        );
        assert_eq!(
            last(&[r#"{"metrics": {"loss": 3}, "host": {"a": [1]}}"#]),
            3.0
        );
    }

    #[test]
    fn what_is_not_finite_at_the_end_is_never_an_earlier_number() {
        let nan = |line: &str| {
            let steps = [r#"{"step": 1, "loss": 0.5}"#, r#"{"loss": 0.5}"#, line];
            measured(&steps)
        };
        for word in ["NaN", "nan", "-nan", "null", "\"NaN\"", "\"nan\""] {
            assert!(
                nan(&format!(r#"{{"loss": {word}}}"#)).unwrap().is_nan(),
                "{word}"
            );
        }
        for word in [
            "Infinity",
            "inf",
            "1e400",
            "\"Infinity\"",
            "\"inf\"",
            "+inf",
        ] {
            assert_eq!(
                nan(&format!(r#"{{"loss": {word}}}"#)),
                Ok(f64::INFINITY),
                "{word}"
            );
        }
        assert_eq!(nan(r#"{"loss": -Infinity}"#), Ok(f64::NEG_INFINITY));
        for (line, reason) in [
            (
                r#"{"loss": "low"}"#,
                "its metric `loss` is \"low\", which is no number",
            ),
            (
                r#"{"loss": [1]}"#,
                "its metric `loss` is a list or an object, which is no number",
            ),
            (
                "{'loss': 0.3}",
                "its last metrics are no line of JSON: {'loss': 0.3}",
            ),
            (
                r#"{"loss": 0.3"#,
                "its last metrics are no line of JSON: {\"loss\": 0.3",
            ),
        ] {
            assert_eq!(nan(line), Err(reason.to_owned()));
        }
        let (steps, end) = read(&[r#"{"step": 1, "loss": 1}"#, r#"{"step": 2, "loss": NaN}"#]);
        assert!(steps[1].1.is_nan() && end.unwrap().is_nan());
    }

    #[test]
    fn steps_that_repeat_or_fall_count_on() {
        let steps = |written: &[&str]| {
            let lines = written
                .iter()
                .map(|step| format!(r#"{{"step": {step}, "loss": 1}}"#));
            let lines: Vec<String> = lines.collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let (steps, _) = read(&lines);
            steps.into_iter().map(|(step, _)| step).collect::<Vec<_>>()
        };
        assert_eq!(steps(&["1", "2", "5"]), [1, 2, 5]);
        assert_eq!(steps(&["1.0", "2.0", "1e1"]), [1, 2, 10]);
        assert_eq!(steps(&["1", "2", "3", "1", "2", "4"]), [1, 2, 3, 4, 5, 7]);
        assert_eq!(steps(&["0", "10", "0", "10"]), [0, 10, 11, 21]);
        assert_eq!(steps(&["3", "3", "4"]), [3, 4, 5]);
        assert_eq!(steps(&["0.5", "1.0", "1.5", "-1", "null"]), [0, 1, 2, 3, 4]);
        assert_eq!(steps(&["\"7\""]), [7]);
        let phases = [r#"{"step": 1, "loss": 9}"#, r#"{"step": 1, "loss": 2}"#];
        assert_eq!(measured(&phases), Ok(2.0));
    }

    #[test]
    fn objects_are_found_behind_bars_and_marks_and_over_lines() {
        for lines in [
            &["\u{feff}{\"loss\": 1}\r"][..],
            &["epoch 1/2\repoch 2/2\r{\"loss\": 1}"],
            &["{\"loss\": 1}\r100%\r"],
            &["\u{1b}[2K\u{1b}[1m {\"loss\": 1}"],
            &[
                "{",
                "  \"loss\": 1,",
                "  \"curve\": [",
                "    {",
                "    }",
                "  ]",
                "}",
            ],
            &["{\"metrics\": {", "    \"loss\": 1", "}}"],
            &["{started}", "{\"loss\": 1}"],
            &["{\"a\": 1,", "{\"loss\": 1}"],
        ] {
            assert_eq!(measured(lines), Ok(1.0), "{lines:?}");
        }
        let deep = format!(
            "{{\"loss\": 1, \"deep\": {}{}}}",
            "[".repeat(900),
            "]".repeat(900)
        );
        assert_eq!(measured(&[&deep]), Ok(1.0));
        let mut bytes = Printed::new(&[]);
        assert!(
            bytes
                .line(b"{\"loss\": 1, \"host\": \"M\xfcnchen\"}")
                .is_empty()
        );
        assert_eq!(bytes.measured().unwrap()["loss"], 1.0);
    }

    #[test]
    fn why_there_is_nothing_is_said() {
        let nothing = "it printed no metrics; a line of JSON is wanted, as {\"loss\": 0.3}";
        assert_eq!(measured(&["hello"]), Err(nothing.to_owned()));
        let reason = format!("{nothing}, but this is none: {{no}}");
        assert_eq!(measured(&["{no}"]), Err(reason));
        assert_eq!(measured(&[r#"{"failed": "luck"}"#]), Err("luck".to_owned()));
        let mut long = Printed::new(&["loss".to_owned()]);
        long.line(br#"{"step": 1, "loss": 1}"#);
        long.too_long(b"xxxx");
        assert!(long.broken.is_none());
        long.too_long(b"{\"loss\": 1, \"more\": [1, 1");
        assert!(long.measured().unwrap_err().contains("longer than 1 MiB"));
    }
}
