//! `cargo xtask package`: packs every crate that is published as crates.io would take it.

use serde_json::Value;

use crate::process;

/// Crates whose packages are built as well. The others are built with the workspace anyway, and need engines.
const BUILT: [&str; 2] = ["lapidary-core", "lapidary-plugin"];

/// Packs all crates that may be published, together, as they depend on each other; what is not committed is packed too.
///
/// # Errors
/// When one lacks what readers or the registry need, or cannot be packed, or does not build on its own.
pub fn run_all() -> Result<(), String> {
    let metadata = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata = process::output(process::cargo().args(metadata))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let published: Vec<&Value> = packages.filter(|p| p["publish"].is_null()).collect();
    let mut names = Vec::new();
    for package in &published {
        let name = package["name"].as_str().ok_or("a package has no name")?;
        let is_there = |key: &&str| match &package[*key] {
            Value::Array(values) => !values.is_empty(),
            value => value.is_string(),
        };
        let wanted = ["description", "license", "readme", "keywords", "categories"];
        if let Some(missing) = wanted.iter().find(|key| !is_there(key)) {
            return Err(format!("{name} is published and has no {missing}"));
        }
        names.push(name);
    }
    pack(&names, &["--no-verify"])?;
    pack(&BUILT, &[])
}

fn pack(names: &[&str], how: &[&str]) -> Result<(), String> {
    let mut command = process::cargo();
    command.args(["package", "--allow-dirty"]).args(how);
    for name in names {
        command.args(["--package", name]);
    }
    process::run(&mut command)
}
