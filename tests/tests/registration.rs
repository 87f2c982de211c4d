//! What the facades list is what a release binary with link-time optimisation has.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Names that have to be among them; a new strategy need not be added here.
const NAMES: [&str; 6] = [
    "distill", "genetic", "greedy", "prune", "quantize", "random",
];

#[test]
#[ignore = "builds a release binary with LTO; run by cargo xtask test"]
fn no_entry_is_lost_in_release_with_lto() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("registration");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--locked"])
        .args(["--package", "lapidary-registration"])
        .args(["--config", "profile.release.lto=\"fat\""])
        .arg("--target-dir")
        .arg(&folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success());
    let program = folder.join("release").join("lapidary-registration");
    let output = Command::new(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names = |kind: &str| -> Vec<&str> {
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(k, _)| *k == kind)
            .map(|(_, name)| name)
            .collect()
    };
    let (listed, linked) = (names("listed"), names("linked"));
    let unique: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(unique.len(), listed.len(), "{listed:?}");
    assert_eq!(linked.len(), listed.len(), "{linked:?}");
    assert_eq!(linked.into_iter().collect::<BTreeSet<_>>(), unique);
    for name in NAMES {
        assert!(unique.contains(name), "{name} is not among {listed:?}");
    }
}
