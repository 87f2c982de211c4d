//! An axis: a name, the values it can take, and when it is active.

use std::cmp::Ordering;

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
            Domain::Float { .. } => (json.as_f64())
                .filter(|value| same(json, &(*value).into()))
                .map(AxisValue::Float),
            Domain::Int { .. } => json
                .as_i64()
                .or_else(|| {
                    json.as_f64()
                        .filter(|v| v.fract() == 0.0 && v.abs() < 9e15)
                        .map(|v| v as i64)
                })
                .map(AxisValue::Int),
            // 1 and 1.0 may both be options; where only one is, either stands for it.
            Domain::Choice { options } => (options.iter())
                .position(|option| option == json)
                .or_else(|| options.iter().position(|option| same(option, json)))
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
        let compare = |with: &Json| compare(&value, with);
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
    a == b || compare(a, b) == Some(Ordering::Equal)
}

/// How two numbers compare, exactly: whole ones beyond 2^53 are not rounded to floats. `None` where one is no number.
fn compare(a: &Json, b: &Json) -> Option<Ordering> {
    let whole = |json: &Json| (json.as_i64().map(i128::from)).or(json.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(a), None) => compare_mixed(a, b.as_f64()?),
        (None, Some(b)) => compare_mixed(b, a.as_f64()?).map(Ordering::reverse),
        (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// How a whole number of 64 bits compares with a float, whose whole part is exact in 128.
fn compare_mixed(whole: i128, float: f64) -> Option<Ordering> {
    let rest = 0.0_f64.partial_cmp(&float.fract())?;
    Some(whole.cmp(&(float.trunc() as i128)).then(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_exactly() {
        const BIG: i64 = 9_007_199_254_740_992;
        let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        for (a, b, order) in [
            ("9007199254740992", "9007199254740993", Ordering::Less),
            ("9007199254740993", "9007199254740992.0", Ordering::Greater),
            (
                "18446744073709551615",
                "9223372036854775807",
                Ordering::Greater,
            ),
            ("1", "1.0", Ordering::Equal),
            ("-0.0", "0", Ordering::Equal),
            ("-1", "-0.5", Ordering::Less),
            ("3", "1e300", Ordering::Less),
            ("0.5", "0.25", Ordering::Greater),
        ] {
            assert_eq!(compare(&json(a), &json(b)), Some(order), "{a} {b}");
            assert_eq!(
                compare(&json(b), &json(a)),
                Some(order.reverse()),
                "{b} {a}"
            );
        }
        assert_eq!(compare(&json("true"), &json("1")), None);

        let options = vec![BIG.into(), (BIG + 1).into(), 1.into(), 1.0.into()];
        let choice = Axis::new("c", Domain::Choice { options });
        for (text, index) in [
            ("9007199254740992", 0),
            ("9007199254740993", 1),
            ("1", 2),
            ("1.0", 3),
        ] {
            assert_eq!(
                choice.value_from_json(&json(text)),
                Ok(AxisValue::Choice(index))
            );
        }
        let float = Domain::Float {
            low: 0.0,
            high: 1e20,
            log: false,
            step: None,
        };
        let float = Axis::new("f", float);
        assert!(float.value_from_json(&json("9007199254740993")).is_err());
        assert!(float.value_from_json(&json("9007199254740992")).is_ok());
    }

    #[test]
    fn conditions_see_whole_numbers_beyond_2_53() {
        let int = Domain::Int {
            low: 9_007_199_254_740_990,
            high: 9_007_199_254_740_999,
            log: false,
            step: 1,
        };
        let flag = Domain::Choice {
            options: vec![true.into()],
        };
        let holds = |condition: &str, n: i64| {
            let when = Some(Condition::parse(condition).unwrap());
            let axes = [
                Axis::new("n", int.clone()),
                Axis {
                    when,
                    ..Axis::new("b", flag.clone())
                },
            ];
            axes[1].is_active(&axes, &[Some(AxisValue::Int(n)), None])
        };
        assert!(holds("n == 9007199254740993", 9_007_199_254_740_993));
        assert!(!holds("n == 9007199254740993", 9_007_199_254_740_992));
        assert!(holds("n < 9007199254740993", 9_007_199_254_740_992));
        assert!(!holds(
            "n in [9007199254740991, 9007199254740993]",
            9_007_199_254_740_992
        ));
        assert!(!holds("n >= 9007199254740993", 9_007_199_254_740_992));
    }
}
