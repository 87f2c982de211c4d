//! `lapidary list`: what is installed.

use std::path::Path;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'static Path>,
}

/// Runs the command.
pub fn run(args: &args::List, json: bool) -> Result<End, Failure> {
    let registry = installed::registry(&args.plugins)?;
    let lines: Vec<Line> = registry
        .entries()
        .filter(|(entry, _)| args.kind.is_none_or(|k| k.kind() == entry.kind()))
        .map(|(entry, origin)| Line {
            kind: entry.kind(),
            name: entry.info.name,
            summary: entry.info.summary,
            origin,
            file: match origin {
                Origin::Plugin(file) => Some(&file.path),
                Origin::Builtin | Origin::Linked => None,
            },
        })
        .collect();
    output::print(json, &lines, || {
        let rows = lines
            .iter()
            .map(|line| {
                let from = line.file.map(|file| format!(" ({})", file.display()));
                vec![
                    line.kind.word().to_owned(),
                    line.name.to_owned(),
                    format!("{}{}", line.summary, from.unwrap_or_default()),
                ]
            })
            .collect();
        output::table(&["kind", "name", "summary"], &[], rows)
    })?;
    Ok(End::Done)
}
