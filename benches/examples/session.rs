//! How many rounds of ask and tell a second `lapidary session` answers, in memory and stored, one candidate at a time and
//! four:
//!
//!     cargo build --release && cargo run --release -p lapidary-benches --example session -- target/release/lapidary /dev/shm
//!
//! The folder is where the store is made; a name in it is used and removed again.

use std::io::{BufRead, BufReader, Error, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

const ROUNDS: usize = 50_000;

const STUDY: &str = r#"
[study]
strategy = "random"
[goal]
minimize = ["loss"]
[space]
x = { float = [0, 1] }
y = { float = [1e-3, 1], log = true }
n = { int = [0, 1000] }
c = { choice = ["a", "b", "c"] }
"#;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, folder] = &arguments[..] else {
        return Err(Error::other("give the program and a folder for the store"));
    };
    let folder = Path::new(folder).join(format!("lapidary-session-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let measured = measure(program, &folder);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn measure(program: &str, folder: &Path) -> Result<(), Error> {
    let study = folder.join("study.toml");
    std::fs::write(&study, STUDY)?;
    println!("| candidates at a time | in memory | stored |\n|--:|--:|--:|");
    for at_a_time in [1, 4] {
        let mut session = Command::new(program);
        session.arg("session").arg(&study);
        let memory = rounds(&mut session, at_a_time)?;
        session.arg("--store");
        session.arg(folder.join(format!("{at_a_time}.db")));
        let stored = rounds(&mut session, at_a_time)?;
        println!("| {at_a_time} | {memory:.0} | {stored:.0} |");
    }
    Ok(())
}

/// Rounds a second; the next candidates are asked for together with the answers to the last.
fn rounds(session: &mut Command, at_a_time: usize) -> Result<f64, Error> {
    let mut running = session
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let ends = (running.stdin.take()).zip(running.stdout.take());
    let (mut input, output) = ends.ok_or_else(|| Error::other("the session has no ends"))?;
    let (mut output, mut line) = (BufReader::new(output), String::new());
    let began = Instant::now();
    let mut told = 0;
    let mut lines = String::new();
    while told < ROUNDS {
        lines.push_str(&format!("{{\"ask\": {at_a_time}}}\n"));
        input.write_all(lines.as_bytes())?;
        lines.clear();
        loop {
            line.clear();
            output.read_line(&mut line)?;
            let answer: Value = serde_json::from_str(&line)?;
            let Some(candidates) = answer["candidates"].as_array() else {
                assert_eq!(answer["ok"], true, "{answer}");
                continue;
            };
            for candidate in candidates {
                let (id, loss) = (&candidate["id"], &candidate["point"]["x"]);
                let tell =
                    format!("{{\"tell\": {{\"id\": {id}, \"metrics\": {{\"loss\": {loss}}}}}}}\n");
                lines.push_str(&tell);
            }
            told += candidates.len();
            break;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    running.kill()?;
    running.wait()?;
    Ok(told as f64 / seconds)
}
