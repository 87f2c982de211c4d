//! Conditions: when an axis is active, as `optimizer == sgd and depth < 4`.

use crate::json::Json;

/// How a clause compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Unequal,
    In,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// What a condition asks of one axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clause {
    pub axis: String,
    pub relation: Relation,
    /// One value, or the list of `in`.
    pub values: Vec<Json>,
}

/// Clauses that must all hold; an inactive axis satisfies none.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    clauses: Vec<Clause>,
    text: String,
}

impl Condition {
    /// Reads `axis == value`, `!=`, `<`, `<=`, `>`, `>=` or `axis in [value, …]`, joined by `and`. Values are numbers, `true`,
    /// `false`, or words (quotes optional).
    ///
    /// # Errors
    /// A message that quotes the clause and shows what would have worked.
    pub fn parse(text: &str) -> Result<Self, String> {
        let clauses = split_and(text)
            .into_iter()
            .map(|clause| parse_clause(clause.trim()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            clauses,
            text: text.trim().to_owned(),
        })
    }

    /// What it asks, all of which must hold.
    pub(crate) fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// Names of the axes the condition reads.
    pub fn axes(&self) -> impl Iterator<Item = &str> {
        self.clauses.iter().map(|c| c.axis.as_str())
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Cuts at the word `and`, outside of quotes.
fn split_and(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quote) = (0, None);
    for (i, c) in text.char_indices() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if text[i..].starts_with(" and ") && i >= start => {
                parts.push(&text[start..i]);
                start = i + " and ".len();
            }
            None => {}
        }
    }
    parts.push(text.get(start..).unwrap_or(""));
    parts
}

fn parse_clause(clause: &str) -> Result<Clause, String> {
    const RELATIONS: [(&str, Relation); 7] = [
        ("==", Relation::Equal),
        ("!=", Relation::Unequal),
        ("<=", Relation::LessEqual),
        (">=", Relation::GreaterEqual),
        ("<", Relation::Less),
        (">", Relation::Greater),
        (" in ", Relation::In),
    ];
    let wanted = || {
        format!(
            "`{clause}` is not a condition; write for example `optimizer == sgd`, `depth < 4` or `act in [relu, gelu]`"
        )
    };
    let (at, sign, relation) = RELATIONS
        .iter()
        .filter_map(|(sign, relation)| Some((clause.find(sign)?, *sign, *relation)))
        .min_by_key(|(at, sign, _)| (*at, usize::MAX - sign.len()))
        .ok_or_else(wanted)?;
    let axis = clause[..at].trim();
    let right = clause[at + sign.len()..].trim();
    if axis.is_empty() || right.is_empty() {
        return Err(wanted());
    }
    let values = if relation == Relation::In {
        let list = right
            .strip_prefix('[')
            .and_then(|r| r.strip_suffix(']'))
            .ok_or_else(wanted)?;
        list.split(',').map(|v| literal(v.trim())).collect()
    } else {
        vec![literal(right)]
    };
    Ok(Clause {
        axis: axis.to_owned(),
        relation,
        values,
    })
}

fn literal(text: &str) -> Json {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return inner.into();
        }
    }
    match serde_json::from_str::<Json>(text) {
        Ok(value) if value.is_number() || value.is_boolean() => value,
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Axis, AxisValue, Domain, Space, SpaceError};
    use std::sync::Arc;

    fn space(condition: &str) -> Result<Space, SpaceError> {
        let choice = |options: &[&str]| Domain::Choice {
            options: options.iter().map(|o| Json::from(*o)).collect(),
        };
        Space::new(vec![
            Axis {
                when: Some(Condition::parse(condition).unwrap()),
                ..Axis::new(
                    "momentum",
                    Domain::Float {
                        low: 0.0,
                        high: 0.99,
                        log: false,
                        step: None,
                    },
                )
            },
            Axis::new("optimizer", choice(&["sgd", "adamw"])),
            Axis::new(
                "depth",
                Domain::Int {
                    low: 1,
                    high: 6,
                    log: false,
                    step: 1,
                },
            ),
        ])
    }

    #[test]
    fn inactive_axes_are_absent() {
        let space = Arc::new(space("optimizer == sgd and depth < 4").unwrap());
        let at = |opt: usize, depth| {
            space.point(vec![
                None,
                Some(AxisValue::Choice(opt)),
                Some(AxisValue::Int(depth)),
            ])
        };
        assert!(at(0, 3).get("momentum").is_some());
        assert!(at(0, 4).get("momentum").is_none());
        assert!(at(1, 3).get("momentum").is_none());
        assert_eq!(
            at(1, 3).to_json().to_string(),
            r#"{"optimizer":"adamw","depth":3}"#
        );
    }

    #[test]
    fn mistakes_name_what_would_work() {
        let text = |c: &str| space(c).unwrap_err().to_string();
        assert!(text("optimiser == sgd").contains("there are momentum, optimizer, depth"));
        assert!(text("optimizer == rmsprop").contains(r#"one of "sgd", "adamw""#));
        assert!(text("momentum < 0.5").contains("circle"));
        assert!(
            Condition::parse("depth")
                .unwrap_err()
                .contains("optimizer == sgd")
        );
        assert!(space("optimizer in [sgd, 'adamw']").is_ok());
    }
}
