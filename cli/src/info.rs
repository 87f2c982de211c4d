//! `lapidary info`: one entry and its settings.

use lapidary_core::registry::{Entry, Kind, Origin, Promise};
use lapidary_core::settings::Setting;
use lapidary_core::text::listed;
use serde::Serialize;

use crate::args;
use crate::end::{End, Failure};
use crate::{installed, output};

#[derive(Serialize)]
struct Document<'a> {
    kind: Kind,
    name: &'static str,
    summary: &'static str,
    docs: &'static str,
    settings: Vec<Setting>,
    promises: &'a [Promise],
    origin: Origin,
}

/// Runs the command.
pub fn run(args: &args::Info, json: bool) -> Result<End, Failure> {
    let registry = installed::registry(&args.plugins)?;
    let documents: Vec<Document<'_>> = registry
        .entries()
        .filter(|(entry, _)| entry.info.name == args.name)
        .map(|(entry, origin)| document(entry, origin))
        .collect();
    // Names are unique within a kind only, so one name may stand for several entries.
    match documents.as_slice() {
        [] => {
            let known: Vec<&str> = registry.entries().map(|(e, _)| e.info.name).collect();
            Err(Failure::input(format!(
                "nothing is called `{}`; there are {}",
                args.name,
                listed(&known)
            )))
        }
        [one] => output::print(json, one, || text(one)),
        several => output::print(json, &several, || {
            several.iter().map(text).collect::<Vec<_>>().join("\n\n")
        }),
    }?;
    Ok(End::Done)
}

fn document(entry: &Entry, origin: Origin) -> Document<'_> {
    let info = &entry.info;
    Document {
        kind: entry.kind(),
        name: info.name,
        summary: info.summary,
        docs: info.docs,
        settings: info.settings.list(),
        promises: info.promises,
        origin,
    }
}

fn text(document: &Document<'_>) -> String {
    let mut text = format!(
        "{} ({}): {}\n\n{}\n",
        document.name,
        document.kind.word(),
        document.summary,
        document.docs
    );
    if !document.settings.is_empty() {
        let rows = document
            .settings
            .iter()
            .map(|s| {
                let default = s.default.as_deref().unwrap_or("required");
                [&s.name, &s.kind, default, &s.example, &s.doc]
                    .map(str::to_owned)
                    .into()
            })
            .collect();
        text.push('\n');
        text.push_str(&output::table(
            &["setting", "type", "default", "example", "meaning"],
            &[],
            rows,
        ));
        text.push('\n');
    }
    for promise in document.promises {
        text.push_str(&format!("\npromises: {}", promise.text()));
    }
    text
}
