//! `lapidary list`: what is installed.

use std::path::{Path, PathBuf};

use lapidary_core::json::Json;
use lapidary_core::registry::{Factory, Kind, Origin};
use serde::Serialize;

use crate::args;
use crate::end::{End, Failure};
use crate::{installed, output};

#[derive(Serialize)]
struct ListedEntry {
    kind: Kind,
    name: &'static str,
    summary: &'static str,
    origin: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'static Path>,
    /// Of a runtime: whether all that it needs is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<bool>,
    /// The library that a runtime has found.
    #[serde(skip_serializing_if = "Option::is_none")]
    library: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &args::List, json: bool) -> Result<End, Failure> {
    let registry = installed::registry(&args.plugins)?;
    let lines: Vec<ListedEntry> = registry
        .entries()
        .filter(|(entry, _)| args.kind.is_none_or(|k| k.kind() == entry.kind()))
        .map(|(entry, origin)| {
            let runtime = match entry.factory {
                Factory::Runtime(make) => Some(make(&Json::Null)),
                _ => None,
            };
            let library = runtime.as_ref().and_then(|r| r.as_ref().ok()?.library());
            ListedEntry {
                kind: entry.kind(),
                name: entry.info.name,
                summary: entry.info.summary,
                origin,
                file: match origin {
                    Origin::Plugin(file) => Some(&file.path),
                    Origin::Builtin | Origin::Linked => None,
                },
                library: library.map(Path::to_owned),
                found: runtime.map(|runtime| runtime.is_ok()),
            }
        })
        .collect();
    output::print(json, &lines, || {
        let rows = lines
            .iter()
            .map(|line| {
                let from = match (line.file.or(line.library.as_deref()), line.found) {
                    (Some(file), _) => Some(format!(" ({})", file.display())),
                    (None, Some(false)) => Some(" (not found)".to_owned()),
                    _ => None,
                };
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
