//! Axes of the families.

use lapidary_core::json::Json;
use lapidary_core::space::{Axis, Domain};

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
