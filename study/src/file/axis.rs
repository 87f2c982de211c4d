//! The table `[space]`: axes as `{ float = [lo, hi], log = true }`, `{ int = [lo, hi], step = 2 }`, `{ choice = [...] }`,
//! each with `when = "…"` where wanted; a plain value is an axis that is fixed at it.

use std::sync::Arc;

use lapidary_core::condition::Condition;
use lapidary_core::json::Json;
use lapidary_core::settings::Schema;
use lapidary_core::space::{Axis, Domain, Space, SpaceError};

use super::section::{ChoiceAxis, FloatAxis, IntAxis};
use super::tree::{FromItem, Item, Table, Value};
use crate::error::StudyFileError;

/// What to write for an axis.
const FORMS: &str = "`{ float = [1e-4, 0.1], log = true }`, `{ int = [1, 6] }`, `{ choice = [\"relu\", \"gelu\"] }` \
     or a plain value to fix the axis";

/// The keys of which an axis has one.
const KINDS: [&str; 3] = ["float", "int", "choice"];

/// Reads the whole table.
pub(crate) fn read_space(table: &Table) -> Result<Arc<Space>, StudyFileError> {
    let axes = table
        .entries()
        .map(|(name, item)| read_axis(name, item))
        .collect::<Result<Vec<_>, _>>()?;
    if axes.is_empty() {
        return Err(StudyFileError::at(
            &table.place,
            format!("[space] has no axis; write for example lr = {FORMS}"),
        ));
    }
    Space::new(axes).map(Arc::new).map_err(|error| {
        // Each domain was checked on its own: what is left to be wrong are conditions and names.
        let axis = match &error {
            SpaceError::Axis { axis, .. } => Some(axis),
            SpaceError::Cycle { axes } => axes.first(),
            _ => None,
        };
        let at = axis.and_then(|name| table.get(name)).map(|item| {
            item.as_table()
                .ok()
                .and_then(|t| t.get("when"))
                .unwrap_or(item)
        });
        let place = at.map_or(&table.place, |item| &item.place);
        StudyFileError::at(place, error.to_string())
    })
}

fn read_axis(name: &str, item: &Item) -> Result<Axis, StudyFileError> {
    let table = match &item.value {
        Value::Table(table) => table,
        Value::List(_) => {
            return Err(item.mistake(format!("a list is not an axis; write {FORMS}")));
        }
        _ => return checked(name, vec![item.to_json()], item),
    };
    let given: Vec<&Item> = KINDS.iter().filter_map(|kind| table.get(kind)).collect();
    let [values] = given[..] else {
        let more = Schema::of::<FloatAxis>().names();
        let more = more.iter().skip(1).map(String::as_str);
        table.check_keys(&KINDS.into_iter().chain(more).collect::<Vec<_>>())?;
        return Err(item.mistake(format!("an axis is one of {FORMS}")));
    };
    let log = table.read::<bool>("log")?.unwrap_or(false);
    let domain = if table.get("float").is_some() {
        table.check_keys(&Schema::of::<FloatAxis>().names())?;
        let [low, high] = bounds(values)?;
        Domain::Float {
            low,
            high,
            log,
            step: table.read("step")?,
        }
    } else if table.get("int").is_some() {
        table.check_keys(&Schema::of::<IntAxis>().names())?;
        let [low, high] = bounds(values)?;
        Domain::Int {
            low,
            high,
            log,
            step: table.read("step")?.unwrap_or(1),
        }
    } else {
        table.check_keys(&Schema::of::<ChoiceAxis>().names())?;
        Domain::Choice {
            options: values.elements().iter().map(Item::to_json).collect(),
        }
    };
    let mut axis = Axis::new(name, domain);
    Space::new(vec![axis.clone()]).map_err(|error| {
        let text = error.to_string();
        let at = ["log", "step"]
            .into_iter()
            .find(|key| text.contains(&format!("`{name}`: {key} ")))
            .and_then(|key| table.get(key))
            .unwrap_or(values);
        StudyFileError::at(&at.place, text)
    })?;
    if let Some(when) = table.get("when") {
        let text = String::from_item(when)?;
        axis.when = Some(Condition::parse(&text).map_err(|reason| when.mistake(reason))?);
    }
    Ok(axis)
}

/// An axis fixed at one value.
fn checked(name: &str, options: Vec<Json>, item: &Item) -> Result<Axis, StudyFileError> {
    let axis = Axis::new(name, Domain::Choice { options });
    Space::new(vec![axis.clone()])
        .map(|_| axis)
        .map_err(|e| StudyFileError::at(&item.place, e.to_string()))
}

fn bounds<T: FromItem>(item: &Item) -> Result<[T; 2], StudyFileError> {
    match &item.value {
        Value::List(ends) if ends.len() == 2 => {
            Ok([T::from_item(&ends[0])?, T::from_item(&ends[1])?])
        }
        _ => Err(item.refuse("a list [lowest, highest]")),
    }
}
