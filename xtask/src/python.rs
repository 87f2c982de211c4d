//! The Python environments that foreign checks and peers run in.

use std::path::PathBuf;
use std::process::Command;

use crate::process::{root, run};

/// The interpreter of the environment in `folder`, with the packages of a requirements file; made where it is missing or the
/// file has changed.
pub fn environment(folder: &str, requirements: &str) -> Result<PathBuf, String> {
    let folder = root().join(folder);
    let python = folder.join("bin").join("python");
    let stamp = folder.join("installed.txt");
    let file = root().join(requirements);
    let wanted = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) && python.exists() {
        return Ok(python);
    }
    let base = interpreter()?;
    if run(Command::new(&base).args(["-m", "venv"]).arg(&folder)).is_err() {
        // Debian's Python comes without venv; its package brings it.
        run(Command::new("apt-get").args(["install", "-y", "python3-venv"]))
            .map_err(|e| format!("{base} cannot make a virtual environment, and {e}"))?;
        run(Command::new(&base).args(["-m", "venv"]).arg(&folder))?;
    }
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(&file))?;
    std::fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))?;
    Ok(python)
}

/// A Python of at least 3.10 on this machine.
fn interpreter() -> Result<String, String> {
    const CHECK: &str = "import sys; sys.exit(sys.version_info < (3, 10))";
    ["python3", "python", "/usr/bin/python3"]
        .into_iter()
        .find(|name| {
            Command::new(name)
                .args(["-c", CHECK])
                .status()
                .is_ok_and(|status| status.success())
        })
        .map(str::to_owned)
        .ok_or_else(|| "this needs Python 3.10 or newer on the PATH".to_owned())
}
