//! `lapidary plugin new`: a project to start a strategy from.

use std::path::{Path, PathBuf};

use lapidary_core::registry::{Kind, Registry};
use serde::Serialize;
use thiserror::Error;

use crate::args::{self, Language, PluginKind};
use crate::end::{End, Failure};
use crate::files::{self, FileError};
use crate::{installed, output};

/// A project as it lies in this repository, where it bears a name of its own.
struct Template {
    /// The name, wherever it stands in the files.
    name: &'static str,
    /// Paths with contents. A `gitignore` gets its dot only in the project, as it would be obeyed here.
    files: &'static [(&'static str, &'static str)],
}

/// A template in Rust.
macro_rules! template {
    ($folder:literal, $name:literal) => {
        template!(
            $folder,
            $name,
            "Cargo.toml",
            "gitignore",
            "src/lib.rs",
            "src/config.rs",
            "src/algorithm.rs",
            "tests/conformance.rs",
            "plugin/Cargo.toml",
            "plugin/src/lib.rs"
        )
    };
    ($folder:literal, $name:literal, $($file:literal),*) => {
        Template {
            name: $name,
            files: &[$(($file, include_str!(concat!("../templates/", $folder, "/", $file)))),*],
        }
    };
}

/// A template in C: an example, with what all in C have; the header comes from the crate that knows the interface.
macro_rules! template_in_c {
    ($name:literal, $source:literal) => {
        Template {
            name: $name,
            files: &[
                ("Makefile", include_str!("../../examples/c/Makefile")),
                ($source, include_str!(concat!("../../examples/c/", $source))),
                ("json.h", include_str!("../../examples/c/json.h")),
                (
                    "lapidary.h",
                    include_str!("../../core/plugin/include/lapidary.h"),
                ),
            ],
        }
    };
}

const C_SEARCHER: Template = template_in_c!("hill-climb", "hill_climb.c");
const C_OPTIMIZER: Template = template_in_c!("fixed-point", "fixed_point.c");
const SEARCHER: Template = template!("searcher", "my-searcher");
const OPTIMIZER: Template = template!("optimizer", "my-optimizer");

/// Where the templates in Rust say that Lapidary is.
const CHECKOUT: &str = "/path/to/lapidary";
/// Where those in C say that the header is.
const HEADER: &str = "../../core/plugin/include";

/// Names that a package cannot have, or that the project's dependencies have; with `_` for `-`.
const RESERVED: &str = "abstract alloc as async await become box break build const continue core crate deps do dyn else enum \
    examples extern false final fn for gen if impl in incremental let loop macro match mod move override \
    priv proc_macro pub ref return serde static std struct test thiserror trait true try type unsafe use \
    where";

/// Why no project can be made.
#[derive(Debug, Error)]
enum NewError {
    #[error(
        "`{0}` cannot be a strategy's name: write 1 to 40 lower-case letters, digits, `-` and `_`, a letter first"
    )]
    Name(String),
    #[error(
        "`{0}` cannot be a package's name: Rust or the project's dependencies use it; take another"
    )]
    Reserved(String),
    #[error("there is another {kind} called `{name}` already; take a new name")]
    Taken { kind: &'static str, name: String },
    #[error("`{0}` exists already; take another name or make the project elsewhere")]
    Exists(PathBuf),
    #[error(
        "a project in Rust takes Lapidary's crates from a checkout, as they are not published: name it with --lapidary DIR"
    )]
    NoCheckout,
    #[error("{} is no checkout of Lapidary: it has no {}", path.display(), missing.display())]
    NotACheckout { path: PathBuf, missing: PathBuf },
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &args::PluginNew, json: bool) -> Result<End, Failure> {
    let registry = installed::builtin()?;
    let files = make(args, &registry).map_err(|error| match error {
        NewError::File(error) => Failure::work(error),
        other => Failure::input(other),
    })?;
    let document = Document {
        name: &args.name,
        files,
    };
    output::print(json, &document, || next_steps(&args.name, args.lang))?;
    Ok(End::Done)
}

/// Makes the project in the working directory and returns its files.
fn make(args: &args::PluginNew, registry: &Registry) -> Result<Vec<PathBuf>, NewError> {
    check_name(&args.name, args.kind.kind(), registry)?;
    let folder = PathBuf::from(&args.name);
    if folder.symlink_metadata().is_ok() {
        return Err(NewError::Exists(folder));
    }
    let files = match args.lang {
        Language::C => {
            let template = match args.kind {
                PluginKind::Searcher => C_SEARCHER,
                PluginKind::Optimizer => C_OPTIMIZER,
            };
            template.filled(&args.name, HEADER, ".")
        }
        Language::Rust => {
            let template = match args.kind {
                PluginKind::Searcher => SEARCHER,
                PluginKind::Optimizer => OPTIMIZER,
            };
            let checkout = checkout(args.lapidary.as_deref())?.display().to_string();
            // As a text in TOML.
            let checkout = checkout.replace('\\', r"\\").replace('"', "\\\"");
            template.filled(&args.name, CHECKOUT, &checkout)
        }
    };
    files::write_folder(&folder, &files)?;
    Ok(files
        .into_iter()
        .map(|(path, _)| folder.join(path))
        .collect())
}

fn check_name(name: &str, kind: Kind, registry: &Registry) -> Result<(), NewError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !first || name.len() > 40 || !name.chars().all(plain) {
        return Err(NewError::Name(name.into()));
    }
    let package = snake(name);
    if RESERVED.split(' ').any(|word| word == package) || package.starts_with("lapidary") {
        return Err(NewError::Reserved(name.into()));
    }
    if registry.entry(kind, name).is_ok() {
        return Err(NewError::Taken {
            kind: kind.word(),
            name: name.into(),
        });
    }
    Ok(())
}

/// The checkout that is named, else the one that the working directory lies in.
fn checkout(named: Option<&Path>) -> Result<PathBuf, NewError> {
    let missing = |folder: &Path| {
        let needed = ["core/Cargo.toml", "core/plugin/Cargo.toml"].map(PathBuf::from);
        needed.into_iter().find(|file| !folder.join(file).is_file())
    };
    let not = |path: &Path, missing| NewError::NotACheckout {
        path: path.into(),
        missing,
    };
    match named {
        Some(named) => match missing(named) {
            Some(file) => Err(not(named, file)),
            None => named.canonicalize().map_err(|_| not(named, ".".into())),
        },
        None => std::env::current_dir()
            .ok()
            .and_then(|here| {
                here.ancestors()
                    .find(|f| missing(f).is_none())
                    .map(Into::into)
            })
            .ok_or(NewError::NoCheckout),
    }
}

impl Template {
    /// The files of a project called `name`, with `place` for where the template says that something is.
    fn filled(&self, name: &str, place_here: &str, place: &str) -> Vec<(PathBuf, String)> {
        let fill = |text: &str| {
            // The form with `_` first: the other's replacement may hold it.
            text.replace(&snake(self.name), &snake(name))
                .replace(self.name, name)
                .replace(place_here, place)
        };
        let path = |path: &str| match path {
            "gitignore" => ".gitignore".into(),
            other => fill(other).into(),
        };
        let files = self.files.iter();
        files.map(|(file, text)| (path(file), fill(text))).collect()
    }
}

fn snake(name: &str) -> String {
    name.replace('-', "_")
}

fn next_steps(name: &str, language: Language) -> String {
    let file = snake(name);
    let commands = match language {
        Language::Rust => format!(
            "cargo test                  # the properties that every strategy keeps\n\
             cargo build --release\n\
             lapidary plugin check target/release/lib{file}_plugin.so\n\n\
             What to change first is in src/algorithm.rs"
        ),
        Language::C => format!(
            "make check                  # builds {file}.so; the properties that every strategy keeps\n\n\
             What to change first is in {file}.c"
        ),
    };
    format!(
        "{name}/ is a strategy that works. Next:\n\ncd {name}\n{commands}; docs/writing-a-strategy.md of Lapidary goes through \
         the rest."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let registry = installed::builtin().unwrap();
        let refused = |name: &str| {
            let error = check_name(name, Kind::Searcher, &registry).unwrap_err();
            error.to_string()
        };
        for name in ["", "Upper", "1st", "a b", "../up", "é", &"a".repeat(41)] {
            assert!(refused(name).contains("lower-case"), "{name}");
        }
        for name in ["fn", "proc-macro", "serde", "lapidary-core"] {
            assert!(refused(name).contains("package"), "{name}");
        }
        assert!(refused("random").contains("already"));
        for name in ["annealing", "my-search_2"] {
            check_name(name, Kind::Searcher, &registry).unwrap();
        }
    }

    #[test]
    fn a_name_may_hold_the_one_of_the_template() {
        let files = SEARCHER.filled("not_my_searcher", CHECKOUT, "/some/place");
        let text = |path: &str| &files.iter().find(|(p, _)| p == Path::new(path)).unwrap().1;
        assert!(text("src/lib.rs").contains("name: \"not_my_searcher\""));
        assert!(text("plugin/src/lib.rs").contains("export!(not_my_searcher::ENTRY)"));
    }

    #[test]
    fn nothing_of_a_template_but_its_code_is_left() {
        for (template, here) in [
            (SEARCHER, CHECKOUT),
            (OPTIMIZER, CHECKOUT),
            (C_SEARCHER, HEADER),
            (C_OPTIMIZER, HEADER),
        ] {
            let files = template.filled("two-words", here, "/some/place");
            let text: String = (files.iter())
                .map(|(path, text)| format!("{}\n{text}", path.display()))
                .collect();
            assert!(text.contains("two_words") && text.contains("/some/place"));
            for left in [template.name, &snake(template.name), here] {
                assert!(!text.contains(left), "{left}");
            }
        }
    }
}
