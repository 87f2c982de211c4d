//! `lapidary plugin`: looks at plug-ins.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;

use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, Factory, Kind, SearchInit};
use lapidary_core::text::panic_text;
use lapidary_plugin::abi::SEARCHER;
use lapidary_plugin_host::{Manifest, Plugin};
use lapidary_study::recipe;
use lapidary_testkit::{optimizer, searcher};
use serde::Serialize;

use crate::args;
use crate::end::{End, Failure};
use crate::{installed, new, output};

/// Runs the command.
pub fn run(args: &args::Plugin, json: bool) -> Result<End, Failure> {
    match args {
        args::Plugin::List(args) => list(args, json),
        args::Plugin::Check(args) => check(args, json),
        args::Plugin::New(args) => new::run(args, json),
    }
}

/// A file, as `plugin list --json` prints it.
#[derive(Serialize)]
struct ListedPlugin<'a> {
    path: &'a Path,
    #[serde(flatten)]
    note: Option<Note>,
    /// Why it is not installed.
    refused: Option<String>,
}

/// What the note of a plug-in says.
#[derive(Serialize)]
struct Note {
    name: String,
    kind: Kind,
    version: String,
    abi: String,
}

impl Note {
    fn new(manifest: &Manifest) -> Self {
        Self {
            name: manifest.name.clone(),
            kind: if manifest.kind == SEARCHER {
                Kind::Searcher
            } else {
                Kind::Optimizer
            },
            version: manifest.version.clone(),
            abi: manifest.interface(),
        }
    }
}

fn list(args: &args::PluginArgs, json: bool) -> Result<End, Failure> {
    let mut registry = installed::builtin()?;
    let found = installed::found(args)?;
    let lines: Vec<ListedPlugin<'_>> = found
        .iter()
        .map(|(path, loaded)| ListedPlugin {
            path,
            note: match loaded {
                Ok(plugin) => Some(Note::new(&plugin.manifest)),
                // One that is refused may still say what it is.
                Err(_) => Manifest::read(path).ok().as_ref().map(Note::new),
            },
            refused: match loaded {
                Ok(plugin) => installed::add(&mut registry, path, plugin)
                    .err()
                    .map(|e| e.to_string()),
                Err(error) => Some(error.to_string()),
            },
        })
        .collect();
    output::print(json, &lines, || {
        let header = ["name", "kind", "version", "abi", "file"];
        let rows = lines.iter().map(|line| {
            let unknown = || "–".to_owned();
            let note = line.note.as_ref();
            let file = match &line.refused {
                // The reason names the file.
                Some(reason) => format!("refused: {reason}"),
                None => line.path.display().to_string(),
            };
            vec![
                note.map_or_else(unknown, |note| note.name.clone()),
                note.map_or_else(unknown, |note| note.kind.word().to_owned()),
                note.map_or_else(unknown, |note| note.version.clone()),
                note.map_or_else(unknown, |note| note.abi.clone()),
                file,
            ]
        });
        output::table(&header, &[], rows.collect())
    })?;
    Ok(End::Done)
}

/// What came of one property, as `plugin check --json` prints it.
#[derive(Serialize)]
struct Verdict {
    property: &'static str,
    holds: bool,
    /// Why it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

fn check(args: &args::PluginCheck, json: bool) -> Result<End, Failure> {
    let plugin = installed::host(args.running)?
        .load(&args.file)
        .map_err(Failure::input)?;
    let settings = settings(args, &plugin)?;
    let entry = until_it_hangs(&plugin);
    let mut verdicts = Vec::new();
    for (property, holds) in properties(&entry, &settings) {
        let (word, reason) = match plugin.hung() {
            Some(_) => (
                "not run",
                Some("not run: the plug-in hung before".to_owned()),
            ),
            None => match (failure(holds), plugin.hung()) {
                (None, None) => ("holds", None),
                // What a smaller case failed with is that the plug-in was not started again.
                (_, Some(hung)) => ("FAILS", Some(format!("the plug-in {hung}"))),
                (Some(reason), None) => ("FAILS", Some(reason)),
            },
        };
        if !json {
            eprintln!("{word:8}{property}");
        }
        verdicts.push(Verdict {
            property,
            holds: reason.is_none(),
            reason,
        });
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.holds).count();
    output::print(json, &verdicts, || {
        let mut text = String::new();
        for verdict in &verdicts {
            if let Some(reason) = &verdict.reason {
                text.push_str(&format!("{}: {reason}\n\n", verdict.property));
            }
        }
        text + &format!(
            "{}: {} of {} properties hold",
            plugin.manifest.name,
            verdicts.len() - failed,
            verdicts.len()
        )
    })?;
    if failed == 0 {
        return Ok(End::Done);
    }
    Err(Failure::work(format!(
        "{}: {failed} of {} properties do not hold",
        args.file.display(),
        verdicts.len()
    )))
}

/// The settings to check an optimizer with.
fn settings(args: &args::PluginCheck, plugin: &Plugin) -> Result<Json, Failure> {
    if args.set.is_empty() {
        return Ok(Json::Null);
    }
    let name = plugin.entry.info.name;
    if plugin.entry.kind() != Kind::Optimizer {
        return Err(Failure::input(format!(
            "{name} is a searcher, which is checked with its default settings: leave --set away"
        )));
    }
    let settings = recipe::parse_settings(&args.set).map_err(Failure::input)?;
    if let Factory::Optimizer(make) = plugin.entry.factory {
        make(&settings).map_err(Failure::input)?;
    }
    Ok(settings)
}

/// The plug-in's entry, which makes nothing more once the plug-in hung: a property that fails is tried on many smaller cases,
/// each of which would wait as long. As all that is loaded it stays as long as the program.
fn until_it_hangs(plugin: &Plugin) -> Entry {
    let (asked, info) = (plugin.clone(), plugin.entry.info);
    let alive = move || match asked.hung() {
        None => Ok(()),
        Some(hung) => Err(BuildError::Broken {
            name: info.name,
            reason: format!("it is not started again, as it {hung}"),
        }),
    };
    let factory = match plugin.entry.factory {
        Factory::Searcher(make) => {
            let make = move |settings: &Json, init: &SearchInit<'_>| {
                alive()?;
                make(settings, init)
            };
            Factory::Searcher(Box::leak(Box::new(make)))
        }
        Factory::Optimizer(make) => {
            let make = move |settings: &Json| {
                alive()?;
                make(settings)
            };
            Factory::Optimizer(Box::leak(Box::new(make)))
        }
        other => other,
    };
    Entry { info, factory }
}

/// A named property, which panics where it does not hold.
type Property<'a> = (&'static str, Box<dyn Fn() + 'a>);

/// The properties of an entry's kind.
fn properties<'a>(entry: &'a Entry, settings: &'a Json) -> Vec<Property<'a>> {
    fn boxed<'a>(holds: impl Fn() + 'a) -> Box<dyn Fn() + 'a> {
        Box::new(holds)
    }
    match entry.kind() {
        Kind::Optimizer => (optimizer::PROPERTIES.iter())
            .map(|(name, holds)| (*name, boxed(|| holds(entry, settings))))
            .collect(),
        _ => (searcher::PROPERTIES.iter())
            .map(|(name, holds)| (*name, boxed(|| holds(entry))))
            .collect(),
    }
}

/// Why a property does not hold; `None` where it does.
fn failure(holds: impl Fn()) -> Option<String> {
    // The panic is the verdict: nothing of it is printed while it is caught.
    let hook = take_hook();
    set_hook(Box::new(|_| ()));
    let caught = catch_unwind(AssertUnwindSafe(holds));
    set_hook(hook);
    caught.err().map(|panic| panic_text(&*panic).to_owned())
}
