//! What the benches share: spaces and the loop of a study, without its store.

use std::collections::VecDeque;
use std::sync::Arc;

use lapidary_core::json::Json;
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

/// A study's loop around a searcher: a window of open trials, told in order.
pub struct Loop<F> {
    searcher: Box<dyn Searcher>,
    evaluate: F,
    window: usize,
    open: VecDeque<Trial>,
}

impl<F: FnMut(&Candidate) -> Vec<f64>> Loop<F> {
    /// A loop that evaluates candidates by `evaluate`.
    pub fn new(searcher: Box<dyn Searcher>, window: usize, evaluate: F) -> Self {
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

    fn tell(&mut self) -> bool {
        let Some(trial) = self.open.pop_front() else {
            return false;
        };
        self.searcher.tell(&trial).expect("telling works");
        true
    }
}
