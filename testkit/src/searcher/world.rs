//! Spaces, outcomes and the loop that the properties run searchers in.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

use lapidary_core::condition::Condition;
use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, Factory, Registry, SearchInit};
use lapidary_core::searcher::{SearchError, Searcher, Snapshot};
use lapidary_core::space::{Axis, AxisValue, Domain, Point, Space};
use lapidary_core::trial::{Candidate, Metrics, Origin, Outcome, Score, Trial};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::uniform;

/// Trials that may be open at once in [`play`], as in a study by default.
const WINDOW: usize = 4;

/// How outcomes turn out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// A smooth function of the point.
    Smooth,
    /// Smooth, but some trials fail and some violate a constraint.
    Mixed,
    /// Every trial fails.
    Failed,
    /// Every trial scores the same.
    Equal,
    /// Every trial violates the constraints, to varying degree.
    Violating,
}

/// What a searcher is let loose on.
#[derive(Debug, Clone)]
pub struct World {
    /// Where it searches.
    pub space: Arc<Space>,
    /// Its seed.
    pub seed: u64,
    /// Number of objectives.
    pub objectives: usize,
    /// How outcomes turn out.
    pub manner: Manner,
}

impl World {
    /// A world of one smooth objective.
    pub fn smooth(space: Arc<Space>) -> Self {
        Self {
            space,
            seed: 1,
            objectives: 1,
            manner: Manner::Smooth,
        }
    }

    /// The searcher of an entry with its default settings.
    pub fn searcher(&self, entry: &Entry) -> Box<dyn Searcher> {
        self.build(entry, &Json::Null)
            .expect("the default settings work")
    }

    /// The searcher of an entry.
    ///
    /// # Errors
    /// What the entry's factory gives.
    ///
    /// # Panics
    /// When the entry is no searcher.
    pub fn build(&self, entry: &Entry, settings: &Json) -> Result<Box<dyn Searcher>, BuildError> {
        let init = SearchInit {
            space: self.space.clone(),
            seed: self.seed,
            objectives: self.objectives,
            trials: None,
            installed: None,
        };
        make(entry, settings, &init)
    }

    /// The trial that comes of a candidate.
    pub fn trial(&self, candidate: &Candidate) -> Trial {
        own(candidate.clone(), self.score(&candidate.point))
    }

    /// A foreign trial of a point.
    pub fn foreign(&self, point: Point, id: u64) -> Trial {
        let candidate = Candidate {
            id,
            point,
            fidelity: 1.0,
            parent: None,
        };
        Trial {
            origin: Origin::Foreign,
            ..self.trial(&candidate)
        }
    }

    /// The score of a point; `None` where its trial fails.
    pub fn score(&self, point: &Point) -> Option<Score> {
        let chance = point.fingerprint() as u8;
        let violation = match self.manner {
            Manner::Failed => return None,
            Manner::Mixed if chance < 50 => return None,
            Manner::Mixed if chance < 100 => f64::from(chance),
            Manner::Violating => 1.0 + f64::from(chance),
            _ => 0.0,
        };
        let objectives = (0..self.objectives)
            .map(|m| {
                if self.manner == Manner::Equal {
                    return 1.0;
                }
                let units = point.to_unit();
                let distance = |(i, u): (usize, &Option<f64>)| {
                    let target = ((i + 1) as f64 * 0.37 + m as f64 * 0.29).fract();
                    u.map_or(0.3, |u| (u - target) * (u - target))
                };
                units.iter().enumerate().map(distance).sum()
            })
            .collect();
        Some(Score {
            objectives,
            violation,
        })
    }
}

/// The searcher of an entry. Where nothing is installed for it to work around, there are the entries linked into this program
/// and a uniform one called `random`.
///
/// # Errors
/// What the entry's factory gives.
///
/// # Panics
/// When the entry is no searcher.
pub fn make(
    entry: &Entry,
    settings: &Json,
    init: &SearchInit<'_>,
) -> Result<Box<dyn Searcher>, BuildError> {
    let Factory::Searcher(make) = entry.factory else {
        panic!("`{}` is not a searcher", entry.info.name);
    };
    let mut registry = Registry::new(&[]).expect("names are unique");
    // Refused where the real one is linked.
    let _ = registry.add(uniform::ENTRY, lapidary_core::registry::Origin::Linked);
    let init = SearchInit {
        installed: init.installed.or(Some(&registry)),
        ..init.clone()
    };
    make(settings, &init)
}

/// Runs a new searcher under a window of open trials, told in order, and gives all trials: for an author's own tests. A
/// point without a score fails.
///
/// # Panics
/// When the settings are refused or the searcher fails.
pub fn run(
    entry: &Entry,
    settings: &Json,
    init: &SearchInit<'_>,
    window: usize,
    trials: usize,
    score: impl Fn(&Point) -> Option<Score>,
) -> Vec<Trial> {
    let mut searcher = make(entry, settings, init).expect("the settings work");
    let (mut all, mut told) = (Vec::<Trial>::new(), 0);
    while all.len() < trials {
        if all.len() - told >= window {
            searcher.tell(&all[told]).expect("telling works");
            told += 1;
        }
        match searcher.ask(1).expect("asking works").pop() {
            Some(candidate) => {
                let score = score(&candidate.point);
                all.push(own(candidate, score));
            }
            None if told < all.len() => {
                searcher.tell(&all[told]).expect("telling works");
                told += 1;
            }
            None => break,
        }
    }
    all
}

/// The trial of a candidate with this score.
fn own(candidate: Candidate, score: Option<Score>) -> Trial {
    let outcome = match &score {
        Some(score) => Outcome::Measured {
            metrics: score
                .objectives
                .iter()
                .enumerate()
                .map(|(i, v)| (format!("f{i}"), *v))
                .collect::<Metrics>(),
        },
        None => Outcome::Failed {
            reason: "it fails in this world".into(),
        },
    };
    Trial {
        candidate,
        origin: Origin::Own,
        outcome,
        score,
        curve: Vec::new(),
        repeats: None,
    }
}

/// What of a candidate must be the same where sequences are: id, point, the fidelity's bits, parent.
pub type Essence = (u64, Vec<Option<AxisValue>>, u64, Option<u64>);

/// What of `candidate` must be the same where sequences are.
pub fn essence(candidate: &Candidate) -> Essence {
    (
        candidate.id,
        candidate.point.values().to_vec(),
        candidate.fidelity.to_bits(),
        candidate.parent,
    )
}

/// A searcher at work: what it asked, and what of that is not told yet.
pub struct Driver<'a> {
    /// The searcher.
    pub searcher: Box<dyn Searcher>,
    world: &'a World,
    /// Candidates not told yet, in order.
    pub pending: VecDeque<Candidate>,
}

impl<'a> Driver<'a> {
    /// A driver of a new searcher of default settings.
    pub fn new(entry: &Entry, world: &'a World) -> Self {
        Self {
            searcher: world.searcher(entry),
            world,
            pending: VecDeque::new(),
        }
    }

    /// Asks once for `n` and keeps what comes.
    pub fn ask(&mut self, n: usize) -> Vec<Candidate> {
        let asked = self.searcher.ask(n).expect("asking works");
        self.pending.extend(asked.iter().cloned());
        asked
    }

    /// The searcher's state; `None` where it takes no snapshots.
    pub fn snapshot(&self) -> Option<Snapshot> {
        match self.searcher.snapshot() {
            Err(SearchError::NoSnapshots { .. }) => None,
            snapshot => Some(snapshot.expect("a snapshot")),
        }
    }

    /// Tells the oldest pending candidate; false where there is none.
    pub fn tell(&mut self) -> bool {
        let Some(candidate) = self.pending.pop_front() else {
            return false;
        };
        self.searcher
            .tell(&self.world.trial(&candidate))
            .expect("telling an own trial works");
        true
    }

    /// Goes on under the study's sliding window until `trials` more are asked, or the searcher is exhausted.
    pub fn play(&mut self, trials: usize) -> Vec<Candidate> {
        let mut asked = Vec::new();
        while asked.len() < trials {
            if self.pending.len() >= WINDOW {
                self.tell();
            }
            let new = self.ask(1);
            if new.is_empty() && !self.tell() {
                break;
            }
            asked.extend(new);
        }
        asked
    }
}

/// The candidates a new searcher asks in `trials` trials, by what identifies them.
pub fn played(entry: &Entry, world: &World, trials: usize) -> Vec<Essence> {
    let asked = Driver::new(entry, world).play(trials);
    asked.iter().map(essence).collect()
}

/// Number of points of a finite space, conditions regarded.
pub fn count(space: &Arc<Space>) -> usize {
    std::iter::successors(Some(space.first()), Point::successor).count()
}

/// Runs `test` on generated cases, the same every time, and panics with the smallest that fails.
pub fn check<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value))
where
    S::Value: Debug,
{
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let result = TestRunner::new_with_rng(config, rng).run(strategy, |case| {
        test(case);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Worlds of every manner with 1 to 3 objectives over generated spaces.
pub fn worlds() -> impl Strategy<Value = World> {
    world_of(spaces(domains().boxed(), 6))
}

/// Worlds over spaces of at most some hundred points.
pub fn finite_worlds() -> impl Strategy<Value = World> {
    world_of(spaces(small_domains().boxed(), 4))
}

fn world_of(spaces: impl Strategy<Value = Arc<Space>>) -> impl Strategy<Value = World> {
    let manner = prop::sample::select(vec![
        Manner::Smooth,
        Manner::Mixed,
        Manner::Failed,
        Manner::Equal,
        Manner::Violating,
    ]);
    (spaces, any::<u64>(), 1usize..4, manner).prop_map(|(space, seed, objectives, manner)| World {
        space,
        seed,
        objectives,
        manner,
    })
}

/// Spaces of up to `most` axes, some active only where the first has its first value.
fn spaces(domains: BoxedStrategy<Domain>, most: usize) -> impl Strategy<Value = Arc<Space>> {
    prop::collection::vec((domains, prop::bool::weighted(0.25)), 1..=most).prop_map(|axes| {
        let first = Axis::new("x0", axes[0].0.clone());
        let condition = first.domain.cardinality().map(|_| {
            let value = first.value_to_json(first.domain.nth(0));
            Condition::parse(&format!("x0 == {value}")).expect("it is a condition")
        });
        let axes = axes
            .into_iter()
            .enumerate()
            .map(|(i, (domain, conditional))| Axis {
                when: condition.clone().filter(|_| i > 0 && conditional),
                ..Axis::new(format!("x{i}"), domain)
            })
            .collect();
        Arc::new(Space::new(axes).expect("generated axes make a space"))
    })
}

fn options(n: usize) -> Domain {
    Domain::Choice {
        options: (0..n).map(|i| format!("o{i}").into()).collect(),
    }
}

fn domains() -> impl Strategy<Value = Domain> {
    prop_oneof![
        3 => (-1e3..1e3f64, 0.0..1e3f64).prop_map(|(low, width)| Domain::Float {
            low,
            high: low + width,
            log: false,
            step: None
        }),
        1 => (-9.0..3.0f64, 0.0..6.0f64).prop_map(|(low, width)| Domain::Float {
            low: 10f64.powf(low),
            high: 10f64.powf(low + width),
            log: true,
            step: None
        }),
        1 => (1i64..100, 0..1_000_000i64).prop_map(|(low, width)| Domain::Int {
            low,
            high: low + width,
            log: true,
            step: 1
        }),
        3 => small_domains(),
    ]
}

fn small_domains() -> impl Strategy<Value = Domain> {
    prop_oneof![
        (-5..5i64, 0..4i64, 1..3i64).prop_map(|(low, width, step)| Domain::Int {
            low,
            high: low + width,
            log: false,
            step
        }),
        (-2.0..2.0f64, 0..4u32, 0.05..0.5f64).prop_map(|(low, n, step)| Domain::Float {
            low,
            high: low + f64::from(n) * step,
            log: false,
            step: Some(step)
        }),
        (1usize..5).prop_map(options),
    ]
}

/// A space of four continuous axes.
pub fn continuum() -> Arc<Space> {
    let axes = (0..4)
        .map(|i| {
            Axis::new(
                format!("x{i}"),
                Domain::Float {
                    low: -1.0,
                    high: 2.0,
                    log: false,
                    step: None,
                },
            )
        })
        .collect();
    Arc::new(Space::new(axes).expect("it is a space"))
}

/// Spaces at the border of what there is, with what is special about them.
pub fn extremes() -> Vec<(&'static str, Arc<Space>)> {
    let float = |low, high, log| Domain::Float {
        low,
        high,
        log,
        step: None,
    };
    let int = |low, high, log| Domain::Int {
        low,
        high,
        log,
        step: 1,
    };
    let space = |axes: Vec<Domain>| {
        let axes = axes
            .into_iter()
            .enumerate()
            .map(|(i, domain)| Axis::new(format!("x{i}"), domain))
            .collect();
        Arc::new(Space::new(axes).expect("it is a space"))
    };
    let chain = |i: usize| Axis {
        when: (i > 0).then(|| Condition::parse(&format!("x{} == o1", i - 1)).expect("it is one")),
        ..Axis::new(format!("x{i}"), options(3))
    };
    vec![
        ("no axis", space(vec![])),
        (
            "one point",
            space(vec![int(3, 3, false), options(1), float(0.5, 0.5, false)]),
        ),
        ("one real axis", space(vec![float(0.0, 1.0, false)])),
        ("one switch", space(vec![options(2)])),
        (
            "huge log axes",
            space(vec![
                float(f64::MIN_POSITIVE, f64::MAX, true),
                int(1, i64::MAX, true),
            ]),
        ),
        (
            "all integers",
            space(vec![
                int(i64::MIN, i64::MAX, false),
                int(i64::MAX - 1, i64::MAX, false),
            ]),
        ),
        (
            "all reals",
            space(vec![float(-f64::MAX, f64::MAX, false); 2]),
        ),
        (
            "neighbouring floats",
            space(vec![float(1.0, 1.0 + f64::EPSILON, false)]),
        ),
        (
            "a chain of conditions",
            Arc::new(Space::new((0..6).map(chain).collect()).expect("it is a space")),
        ),
        ("many axes", space(vec![float(0.0, 1.0, false); 200])),
    ]
}
