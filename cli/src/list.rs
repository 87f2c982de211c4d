//! `lapidary list`: what is installed.

use lapidary_core::registry::{Kind, Origin};
use serde::Serialize;

use crate::args;
use crate::failure::{End, Failure};
use crate::{installed, output};

#[derive(Serialize)]
struct Line {
    kind: Kind,
    name: &'static str,
    summary: &'static str,
    origin: Origin,
}

/// Runs the command.
pub fn run(args: &args::List, json: bool) -> Result<End, Failure> {
    let registry = installed::registry()?;
    let lines: Vec<Line> = registry
        .entries()
        .filter(|(entry, _)| args.kind.is_none_or(|k| k.kind() == entry.kind()))
        .map(|(entry, origin)| Line {
            kind: entry.kind(),
            name: entry.info.name,
            summary: entry.info.summary,
            origin,
        })
        .collect();
    output::print(json, &lines, || {
        let rows = lines
            .iter()
            .map(|line| {
                vec![
                    line.kind.word().to_owned(),
                    line.name.to_owned(),
                    line.summary.to_owned(),
                ]
            })
            .collect();
        output::table(&["kind", "name", "summary"], &[], rows)
    })?;
    Ok(End::Done)
}
