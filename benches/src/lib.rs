//! What the benches share: spaces, a function, and the loop of a study.

use std::collections::VecDeque;
use std::sync::Arc;

use lapidary_core::json::Json;
use lapidary_core::registry::{Registry, SearchInit};
use lapidary_core::searcher::Searcher;
use lapidary_core::space::{Axis, AxisValue, Domain, Space};
use lapidary_core::trial::{Candidate, Origin, Outcome, Score, Trial};

/// A real axis.
pub fn float(low: f64, high: f64, log: bool) -> Domain {
    Domain::Float {
        low,
        high,
        log,
        step: None,
    }
}

/// An axis of whole numbers.
pub fn int(low: i64, high: i64, log: bool) -> Domain {
    Domain::Int {
        low,
        high,
        log,
        step: 1,
    }
}

/// An axis of `n` options.
pub fn choice(n: usize) -> Domain {
    Domain::Choice {
        options: (0..n).map(Json::from).collect(),
    }
}

/// A space of axes called `p0`, `p1`, …
pub fn space(domains: Vec<Domain>) -> Arc<Space> {
    let axes = domains
        .into_iter()
        .enumerate()
        .map(|(i, domain)| Axis::new(format!("p{i}"), domain))
        .collect();
    Arc::new(Space::new(axes).expect("the axes are sound"))
}

/// Ten axes of every kind, those that the peers' cost per trial was measured on.
pub fn mixed_space() -> Arc<Space> {
    let mut domains = vec![float(-5.0, 5.0, false); 4];
    domains.extend([
        float(1e-5, 1.0, true),
        int(1, 64, false),
        int(0, 20, false),
        int(1, 1024, true),
        choice(4),
        choice(3),
    ]);
    space(domains)
}

/// A function over [`mixed_space`] that every axis bears on, its minimum 0 at none of their middles.
pub fn mixed(p: &[f64]) -> f64 {
    let (a, b) = (p[8] as usize, p[9] as usize);
    let reals: f64 = (0..4)
        .map(|i| (p[i] - 2.0 * (i as f64 + 1.0 + 2.0 * a as f64).sin()).powi(2))
        .sum();
    reals
        + 2.0 * (p[4].log10() + 2.5).powi(2)
        + ((p[5] - 37.0) / 8.0).powi(2)
        + ((p[6] - 6.0) / 3.0).powi(2)
        + 0.5 * (p[7].log2() - 6.0).powi(2)
        + [3.0, 1.0, 0.0, 5.0][a]
        + [2.0, 0.0, 1.0][b]
}

/// The values of a point as numbers, options by index; inactive axes are left out.
pub fn numbers(candidate: &Candidate) -> Vec<f64> {
    let values = candidate.point.values().iter().flatten();
    values
        .map(|value| match *value {
            AxisValue::Float(v) => v,
            AxisValue::Int(v) => v as f64,
            AxisValue::Choice(v) => v as f64,
        })
        .collect()
}

/// The strategy `name` with its defaults, to minimise one objective over `space`.
///
/// # Panics
/// When there is none of that name.
pub fn searcher(registry: &Registry, name: &str, space: &Arc<Space>) -> Box<dyn Searcher> {
    let init = SearchInit {
        space: space.clone(),
        seed: 1,
        objectives: 1,
        trials: None,
        installed: None,
    };
    registry
        .searcher(name, &Json::Null, &init)
        .expect("the strategy is there and its defaults work")
}

/// A study's loop around a searcher: a window of open trials, told in order.
pub struct Loop<'a, F> {
    searcher: &'a mut dyn Searcher,
    evaluate: F,
    window: usize,
    open: VecDeque<Trial>,
}

impl<'a, F: FnMut(&Candidate) -> Vec<f64>> Loop<'a, F> {
    /// A loop that evaluates candidates by `evaluate`.
    pub fn new(searcher: &'a mut dyn Searcher, window: usize, evaluate: F) -> Self {
        Self {
            searcher,
            evaluate,
            window,
            open: VecDeque::new(),
        }
    }

    /// Runs one more trial and gives its objectives; `None` when the searcher is exhausted.
    ///
    /// # Panics
    /// When the searcher fails.
    pub fn trial(&mut self) -> Option<Vec<f64>> {
        if self.open.len() >= self.window {
            self.tell();
        }
        loop {
            if let Some(candidate) = self.searcher.ask(1).expect("asking works").pop() {
                let objectives = (self.evaluate)(&candidate);
                self.open.push_back(Trial {
                    candidate,
                    origin: Origin::Own,
                    outcome: Outcome::Measured {
                        metrics: Default::default(),
                    },
                    score: Some(Score {
                        objectives: objectives.clone(),
                        violation: 0.0,
                    }),
                    curve: Vec::new(),
                    repeats: None,
                });
                return Some(objectives);
            }
            if !self.tell() {
                return None;
            }
        }
    }

    /// Tells all trials that are open.
    ///
    /// # Panics
    /// When the searcher fails.
    pub fn tell_all(&mut self) {
        while self.tell() {}
    }

    fn tell(&mut self) -> bool {
        let Some(trial) = self.open.pop_front() else {
            return false;
        };
        self.searcher.tell(&trial).expect("telling works");
        true
    }
}
