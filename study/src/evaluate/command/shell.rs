//! Scripts of shells among the arguments: a value that is filled into one becomes a part of the script.

use std::path::Path;

use lapidary_core::json::Json;
use lapidary_core::space::{Domain, Space};

use super::settings::Placed;
use crate::evaluate::template::{as_text, names};

const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "zsh", "fish"];

/// What is to be known of the options that are filled into scripts, a sentence for each axis with one that the shell would read
/// otherwise than it is written.
pub(super) fn notes(
    program: &Path,
    args: &[Vec<Placed>],
    space: &Space,
    known: &[&str],
) -> Vec<String> {
    let program = program.to_string_lossy();
    let words: Vec<&str> = std::iter::once(&*program)
        .chain(args.iter().flatten().map(|(_, text)| text.as_str()))
        .collect();
    let scripts = words.windows(3).filter(|words| {
        let name = words[0].rsplit('/').next().unwrap_or_default();
        SHELLS.contains(&name) && is_command_flag(words[1])
    });
    let mut axes: Vec<String> = scripts.flat_map(|words| names(words[2], known)).collect();
    axes.sort();
    axes.dedup();
    let odd = |axis: &String| {
        let axis = space.axes().get(space.index(axis)?)?;
        let Domain::Choice { options } = &axis.domain else {
            return None;
        };
        let option = options.iter().find(|option| !is_plain(option))?;
        Some(format!(
            "`{{{name}}}` is filled into a script as it is, and the shell reads {option} in its own way; write \"$1\" there and \
             pass the value behind it, as in args = [\"-c\", \"train \\\"$1\\\"\", \"sh\", \"{{{name}}}\"]",
            name = axis.name
        ))
    };
    axes.iter().filter_map(odd).collect()
}

/// Whether the argument makes the next one a script: `-c`, also among other letters.
fn is_command_flag(arg: &str) -> bool {
    arg.strip_prefix('-')
        .is_some_and(|flags| flags.ends_with('c') && flags.chars().all(char::is_alphabetic))
}

/// Whether a shell takes the option as the one word that it is.
fn is_plain(option: &Json) -> bool {
    let text = as_text(option);
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:,+=@%^".contains(c);
    !text.is_empty() && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_core::space::Axis;

    #[test]
    fn options_that_a_shell_reads_in_its_own_way_are_told() {
        let options = |options: &[&str]| Domain::Choice {
            options: options.iter().map(|o| Json::from(*o)).collect(),
        };
        let space = Space::new(vec![
            Axis::new("v", options(&["plain", "$(touch x)"])),
            Axis::new("w", options(&["a", "b-c", "1e-4"])),
        ])
        .unwrap();
        let notes = |program: &str, args: &[&str]| {
            let placed = args.iter().map(|arg| (Vec::new(), (*arg).to_owned()));
            super::notes(Path::new(program), &[placed.collect()], &space, &["v", "w"])
        };
        let told = notes("/bin/sh", &["-c", "run {v} {w}"]);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("`{v}` is filled into a script"),
            "{told:?}"
        );
        assert_eq!(notes("env", &["bash", "-lc", "run {v}"]), told);
        for safe in [
            &["-c", "run \"$1\" {w}", "sh", "{v}"][..],
            &["run.sh", "{v}"],
        ] {
            assert_eq!(notes("sh", safe), [""; 0]);
        }
        assert_eq!(notes("python3", &["-c", "{v}"]), [""; 0]);
    }
}
