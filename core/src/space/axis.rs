//! An axis: a name, the values it can take, and when it is active.

use crate::condition::{Condition, Relation};
use crate::json::Json;
use crate::space::domain::{AxisValue, Domain};
use crate::space::error::SpaceError;

/// One named choice of a space.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Unique name.
    pub name: String,
    /// The values it can take.
    pub domain: Domain,
    /// When the axis is active; always where `None`.
    pub when: Option<Condition>,
}

impl Axis {
    /// An axis that is always active.
    pub fn new(name: impl Into<String>, domain: Domain) -> Self {
        Self {
            name: name.into(),
            domain,
            when: None,
        }
    }

    /// Reads a value of this axis.
    ///
    /// # Errors
    /// When the value is not of the axis's domain; the message says what is.
    pub fn value_from_json(&self, json: &Json) -> Result<AxisValue, SpaceError> {
        let value = match &self.domain {
            Domain::Float { .. } => json.as_f64().map(AxisValue::Float),
            Domain::Int { .. } => json
                .as_i64()
                .or_else(|| {
                    json.as_f64()
                        .filter(|v| v.fract() == 0.0 && v.abs() < 9e15)
                        .map(|v| v as i64)
                })
                .map(AxisValue::Int),
            Domain::Choice { options } => options
                .iter()
                .position(|o| o == json || o.as_f64().is_some_and(|v| Some(v) == json.as_f64()))
                .map(AxisValue::Choice),
        };
        value
            .filter(|v| self.domain.contains(*v))
            .ok_or_else(|| SpaceError::Value {
                axis: self.name.clone(),
                value: json.to_string(),
                wanted: self.domain.to_string(),
            })
    }

    /// Writes a value of this axis.
    pub fn value_to_json(&self, value: AxisValue) -> Json {
        match (value, &self.domain) {
            (AxisValue::Float(v), _) => v.into(),
            (AxisValue::Int(v), _) => v.into(),
            (AxisValue::Choice(i), Domain::Choice { options }) => {
                options.get(i).cloned().unwrap_or(Json::Null)
            }
            (AxisValue::Choice(i), _) => i.into(),
        }
    }

    /// Whether the axis is active where the axes of its space have these values.
    pub(super) fn is_active(&self, axes: &[Self], values: &[Option<AxisValue>]) -> bool {
        (self.when.as_ref()).is_none_or(|condition| holds(condition, axes, values))
    }

    /// Refuses values that contradict each other, and a condition that does not fit the axes of the space.
    pub(super) fn check(&self, axes: &[Self]) -> Result<(), SpaceError> {
        self.domain.check().map_err(|reason| SpaceError::Axis {
            axis: self.name.clone(),
            reason,
        })?;
        match &self.when {
            Some(condition) => check(condition, &self.name, axes),
            None => Ok(()),
        }
    }
}

/// Whether the condition holds for values by axis index.
fn holds(condition: &Condition, axes: &[Axis], values: &[Option<AxisValue>]) -> bool {
    condition.clauses().iter().all(|clause| {
        let Some(i) = axes.iter().position(|a| a.name == clause.axis) else {
            return false;
        };
        let Some(value) = values[i] else { return false };
        let value = axes[i].value_to_json(value);
        let compare = |with: &Json| {
            value
                .as_f64()
                .zip(with.as_f64())
                .map(|(a, b)| a.total_cmp(&b))
        };
        let first = &clause.values[0];
        match clause.relation {
            Relation::Equal => same(&value, first),
            Relation::Unequal => !same(&value, first),
            Relation::In => clause.values.iter().any(|v| same(&value, v)),
            Relation::Less => compare(first).is_some_and(|o| o.is_lt()),
            Relation::LessEqual => compare(first).is_some_and(|o| o.is_le()),
            Relation::Greater => compare(first).is_some_and(|o| o.is_gt()),
            Relation::GreaterEqual => compare(first).is_some_and(|o| o.is_ge()),
        }
    })
}

/// Refuses unknown axes and values the axis can never take.
fn check(condition: &Condition, owner: &str, axes: &[Axis]) -> Result<(), SpaceError> {
    for clause in condition.clauses() {
        let refuse = |reason: String| SpaceError::Axis {
            axis: owner.to_owned(),
            reason: format!("condition `{condition}`: {reason}"),
        };
        let axis = axes.iter().find(|a| a.name == clause.axis).ok_or_else(|| {
            let known: Vec<&str> = axes.iter().map(|a| a.name.as_str()).collect();
            refuse(format!(
                "no axis `{}`; there are {}",
                clause.axis,
                crate::text::listed(&known)
            ))
        })?;
        let ordered = !matches!(
            clause.relation,
            Relation::Equal | Relation::Unequal | Relation::In
        );
        if ordered {
            if clause.values[0].as_f64().is_none() {
                return Err(refuse(format!("{} is not a number", clause.values[0])));
            }
            if let Domain::Choice { options } = &axis.domain
                && options.iter().any(|o| o.as_f64().is_none())
            {
                return Err(refuse(format!(
                    "axis `{}` has options that are not numbers",
                    axis.name
                )));
            }
        } else {
            for value in &clause.values {
                axis.value_from_json(value)
                    .map_err(|e| refuse(e.to_string()))?;
            }
        }
    }
    Ok(())
}

fn same(a: &Json, b: &Json) -> bool {
    a == b || a.as_f64().is_some_and(|x| Some(x) == b.as_f64())
}
