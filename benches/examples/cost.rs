//! What one ask and tell costs with ten mixed axes, as a JSON line: `cargo run --release -p lapidary-benches --example cost --
//! STRATEGY TOLD` gives the time after that many trials, and the most memory that the process used.

use std::error::Error;
use std::time::Instant;

use lapidary_benches::{Loop, mixed, mixed_space, numbers, searcher};
use lapidary_core::registry::Registry;
use serde_json::json;

/// Trials that are timed together: few, so that most stretches pass without another program in between.
const STRETCH: usize = 50;
/// Stretches; the median of them is given.
const STRETCHES: usize = 41;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [strategy, told] = arguments.as_slice() else {
        return Err("which strategy, and after how many trials?".into());
    };
    let told: usize = told.parse()?;
    let registry = Registry::new(lapidary_strategies::ENTRIES)?;
    let mut searcher = searcher(&registry, strategy, &mixed_space());
    let mut study = Loop::new(searcher.as_mut(), 1, |c| vec![mixed(&numbers(c))]);
    for _ in 0..told {
        study.trial();
    }
    let stretch = || {
        let start = Instant::now();
        for _ in 0..STRETCH {
            study.trial();
        }
        start.elapsed().as_secs_f64() * 1e3 / STRETCH as f64
    };
    let mut stretches: Vec<f64> = std::iter::repeat_with(stretch).take(STRETCHES).collect();
    stretches.sort_by(f64::total_cmp);
    let ms = stretches[STRETCHES / 2];
    println!(
        "{}",
        json!({"strategy": strategy, "told": told, "ms": ms, "peak_mb": peak_memory()})
    );
    Ok(())
}

/// The most memory that this process had, in megabytes; `None` where the system does not say.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}
