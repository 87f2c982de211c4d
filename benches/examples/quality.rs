//! How good the searchers are at equal evaluations: medians over seeds on the functions and tables that the peers were
//! measured on. `cargo run --release -p lapidary-benches --example quality -- STRATEGY [key=value …]`; the tables are read
//! from the folder `LAPIDARY_DATA`, and left out where it is not set. `window=N` sets the study's window, `only=TEXT` leaves
//! out the problems without that text in their names, `seeds=N` runs so many seeds, and `json=true` prints a JSON line for every
//! problem and every run instead of medians.

use std::collections::HashMap;
use std::error::Error;
use std::f64::consts::{PI, TAU};
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use lapidary_benches::{Loop, choice, float, int, mixed, mixed_space, numbers, space};
use lapidary_core::registry::{Registry, SearchInit};
use lapidary_core::space::{Domain, Space};
use serde_json::{Value as Json, json};

/// Objectives of a point's values, options by index.
type Evaluate = Box<dyn Fn(&[f64]) -> Vec<f64>>;

/// A function to minimise over a space.
struct Problem {
    name: &'static str,
    space: Arc<Space>,
    objectives: usize,
    evaluate: Evaluate,
    marks: Vec<usize>,
    seeds: u64,
}

fn shift(i: usize) -> f64 {
    2.5 * (1.7 * i as f64 + 0.3).sin()
}

fn sphere(x: &[f64]) -> f64 {
    x.iter()
        .enumerate()
        .map(|(i, v)| (v - shift(i)).powi(2))
        .sum()
}

fn rastrigin(x: &[f64]) -> f64 {
    let term = |(i, v): (usize, &f64)| {
        let z = v - shift(i);
        z * z - 10.0 * (TAU * z).cos() + 10.0
    };
    x.iter().enumerate().map(term).sum()
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2)
        .map(|w| 100.0 * (w[1] - w[0] * w[0]).powi(2) + (1.0 - w[0]).powi(2))
        .sum()
}

fn zdt(x: &[f64], waves: bool) -> Vec<f64> {
    let g = 1.0 + 9.0 * x[1..].iter().sum::<f64>() / (x.len() - 1) as f64;
    let ratio = x[0] / g;
    let wave = if waves {
        ratio * (10.0 * PI * x[0]).sin()
    } else {
        0.0
    };
    vec![x[0], g * (1.0 - ratio.sqrt() - wave)]
}

fn function(name: &'static str, space: Arc<Space>, f: impl Fn(&[f64]) -> f64 + 'static) -> Problem {
    Problem {
        name,
        space,
        objectives: 1,
        evaluate: Box::new(move |x| vec![f(x)]),
        marks: vec![100, 500, 1000],
        seeds: 10,
    }
}

fn front(name: &'static str, axes: usize, waves: bool, marks: &[usize]) -> Problem {
    Problem {
        name,
        space: space(vec![float(0.0, 1.0, false); axes]),
        objectives: 2,
        evaluate: Box::new(move |x| zdt(x, waves)),
        marks: marks.to_vec(),
        seeds: 10,
    }
}

/// Problems whose outcomes stand in a table: regret against the best row.
fn table(
    name: &'static str,
    file: &str,
    sizes: &[usize],
    ordered: &[usize],
    value: impl Fn(&str) -> Option<f64>,
) -> Result<Option<Problem>, Box<dyn Error>> {
    let Some(folder) = std::env::var_os("LAPIDARY_DATA") else {
        return Ok(None);
    };
    let path = std::path::Path::new(&folder).join("tables").join(file);
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
    let mut rows: HashMap<Vec<usize>, f64> = HashMap::new();
    for line in text.lines().skip(1) {
        let (key, rest) = line.split_once(',').ok_or("a row has a key")?;
        let key = key.bytes().map(|b| usize::from(b - b'0')).collect();
        if let Some(v) = value(rest) {
            rows.insert(key, v);
        }
    }
    let best = rows.values().copied().fold(f64::INFINITY, f64::min);
    let domain = |(i, n): (usize, &usize)| {
        if ordered.contains(&i) {
            int(0, *n as i64 - 1, false)
        } else {
            choice(*n)
        }
    };
    let domains = sizes.iter().enumerate().map(domain).collect();
    Ok(Some(Problem {
        name,
        space: space(domains),
        objectives: 1,
        evaluate: Box::new(move |x| {
            let key: Vec<usize> = x.iter().map(|v| *v as usize).collect();
            vec![rows.get(&key).copied().unwrap_or(f64::MAX) - best]
        }),
        marks: vec![25, 50, 100, 200, 400, 500],
        seeds: 200,
    }))
}

fn mean(text: &str) -> Option<f64> {
    let values: Vec<f64> = text
        .split_whitespace()
        .filter_map(|v| v.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The hypervolume of two objectives against (11, 11).
fn hypervolume(points: &[Vec<f64>]) -> f64 {
    let mut points: Vec<(f64, f64)> = points
        .iter()
        .map(|p| (p[0], p[1]))
        .filter(|p| p.0 < 11.0 && p.1 < 11.0)
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let (mut volume, mut best) = (0.0, 11.0);
    for (x, y) in points {
        if y < best {
            volume += (11.0 - x) * (best - y);
            best = y;
        }
    }
    volume
}

/// What is asked on the command line.
struct Args {
    strategy: String,
    settings: Json,
    window: usize,
    only: String,
    seeds: Option<u64>,
    json: bool,
}

fn arguments() -> Result<Args, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut args = Args {
        strategy: arguments.next().ok_or("which strategy?")?,
        settings: json!({}),
        window: 4,
        only: String::new(),
        seeds: None,
        json: false,
    };
    for argument in arguments {
        let (key, value) = argument.split_once('=').ok_or("settings are key=value")?;
        match key {
            "window" => args.window = value.parse()?,
            "only" => args.only = value.to_owned(),
            "seeds" => args.seeds = Some(value.parse()?),
            "json" => args.json = value.parse()?,
            _ => args.settings[key] = serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        }
    }
    Ok(args)
}

/// All problems, those of the tables where there is data.
fn problems() -> Result<Vec<Problem>, Box<dyn Error>> {
    let reals = |low, high| space(vec![float(low, high, false); 10]);
    let mut problems = vec![
        function("sphere10", reals(-5.12, 5.12), sphere),
        function("rastrigin10", reals(-5.12, 5.12), rastrigin),
        function("rosenbrock10", reals(-2.048, 2.048), rosenbrock),
        function("mixed10", mixed_space(), mixed),
        front("zdt1_10", 10, false, &[100, 500, 1000]),
        front("zdt3_10", 10, true, &[100, 500, 1000]),
        front("zdt1_30", 30, false, &[1000, 5000, 10_000]),
        front("zdt3_30", 30, true, &[1000, 5000, 10_000]),
    ];
    let accuracy = |rest: &str| {
        rest.split(',')
            .next()
            .and_then(|v| v.parse().ok())
            .map(|v: f64| -v)
    };
    problems.extend(table(
        "nas_macro",
        "nas_bench_macro_cifar10.csv.gz",
        &[3; 8],
        &[],
        accuracy,
    )?);
    problems.extend(table(
        "nas_201",
        "nas_bench_201_cifar10.csv.gz",
        &[5; 6],
        &[],
        |t| mean(t).map(|v| -v),
    )?);
    let fcnet = [2, 2, 4, 3, 3, 6, 2, 6, 6];
    for (name, file) in [
        ("fcnet_protein", "fcnet_protein_structure.csv.gz"),
        ("fcnet_parkinsons", "fcnet_parkinsons_telemonitoring.csv.gz"),
    ] {
        problems.extend(table(name, file, &fcnet, &[2, 3, 4, 5, 7, 8], mean)?);
    }
    Ok(problems)
}

/// One run of a strategy.
struct StrategyRun {
    seed: u64,
    /// What was reached at each mark.
    reached: Vec<f64>,
    /// The last point that was evaluated, and its objectives.
    last: (Vec<f64>, Vec<f64>),
    seconds: f64,
}

fn run(
    registry: &Registry,
    problem: &Problem,
    args: &Args,
    seed: u64,
) -> Result<StrategyRun, Box<dyn Error>> {
    let start = Instant::now();
    let init = SearchInit {
        space: problem.space.clone(),
        seed,
        objectives: problem.objectives,
        trials: None,
        installed: None,
    };
    let mut searcher = registry.searcher(&args.strategy, &args.settings, &init)?;
    let mut last = Vec::new();
    let mut study = Loop::new(searcher.as_mut(), args.window, |candidate| {
        last = numbers(candidate);
        (problem.evaluate)(&last)
    });
    let trials = *problem.marks.last().ok_or("no marks")?;
    let values: Vec<_> = std::iter::from_fn(|| study.trial()).take(trials).collect();
    drop(study);
    let reached = problem.marks.iter().map(|mark| {
        let values = &values[..values.len().min(*mark)];
        if problem.objectives == 1 {
            values.iter().map(|v| v[0]).fold(f64::INFINITY, f64::min)
        } else {
            hypervolume(values)
        }
    });
    Ok(StrategyRun {
        seed,
        reached: reached.collect(),
        last: (last, values.last().cloned().unwrap_or_default()),
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// An axis as a study file has it.
fn axis(domain: &Domain) -> Json {
    match domain {
        Domain::Float { low, high, log, .. } => json!({"float": [low, high], "log": log}),
        Domain::Int { low, high, log, .. } => json!({"int": [low, high], "log": log}),
        Domain::Choice { options } => json!({"choice": options}),
    }
}

fn print_problem(problem: &Problem) {
    let axes: Json = problem
        .space
        .axes()
        .iter()
        .map(|a| axis(&a.domain))
        .collect();
    let name = problem.name;
    println!(
        "{}",
        json!({"problem": name, "axes": axes, "objectives": problem.objectives})
    );
}

fn print_run(problem: &Problem, args: &Args, run: &StrategyRun) {
    let marks = problem.marks.iter().map(usize::to_string);
    let reached: serde_json::Map<_, _> = marks.zip(run.reached.iter().map(|v| json!(v))).collect();
    println!(
        "{}",
        json!({
            "strategy": args.strategy, "window": args.window, "problem": problem.name, "seed": run.seed,
            "reached": reached, "last": {"point": run.last.0, "objectives": run.last.1}, "seconds": run.seconds,
        })
    );
}

fn print_medians(problem: &Problem, runs: &[StrategyRun]) {
    print!("{:<16}", problem.name);
    for (i, mark) in problem.marks.iter().enumerate() {
        let mut values: Vec<f64> = runs.iter().map(|run| run.reached[i]).collect();
        values.sort_by(f64::total_cmp);
        let n = values.len();
        let median = (values[(n - 1) / 2] + values[n / 2]) / 2.0;
        print!(" {mark}: {median:<11.5}");
    }
    let seconds: f64 = runs.iter().map(|run| run.seconds).sum();
    println!(" ({seconds:.1} s)");
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = arguments()?;
    let registry = Registry::new(lapidary_strategies::ENTRIES)?;
    for problem in problems()?.iter().filter(|p| p.name.contains(&args.only)) {
        if args.json {
            print_problem(problem);
        }
        let mut runs = Vec::new();
        for seed in 0..args.seeds.unwrap_or(problem.seeds).max(1) {
            let run = run(&registry, problem, &args, seed)?;
            if args.json {
                print_run(problem, &args, &run);
            }
            runs.push(run);
        }
        if !args.json {
            print_medians(problem, &runs);
        }
    }
    Ok(())
}
