//! The axes to search where a study names none.

use lapidary_core::json::Json;
use lapidary_core::space::{Axis, Domain};

/// The searchable axes of the family called `name` with bounds that suit small images and tables; `None` where there is
/// no such family. Their names are settings of the family.
///
/// ```
/// let axes = lapidary_zoo::default_axes("mlp").unwrap();
/// assert!(axes.iter().any(|a| a.name == "depth"));
/// ```
pub fn default_axes(name: &str) -> Option<Vec<Axis>> {
    match name {
        "mlp" => Some(crate::mlp::axes()),
        "convnet" => Some(crate::convnet::axes()),
        _ => None,
    }
}

pub(crate) fn int(name: &str, low: i64, high: i64, log: bool) -> Axis {
    axis(
        name,
        Domain::Int {
            low,
            high,
            log,
            step: 1,
        },
    )
}

pub(crate) fn choice<T: Clone + Into<Json>>(name: &str, options: &[T]) -> Axis {
    let options = options.iter().cloned().map(Into::into).collect();
    axis(name, Domain::Choice { options })
}

fn axis(name: &str, domain: Domain) -> Axis {
    Axis {
        name: name.to_owned(),
        domain,
        when: None,
    }
}
