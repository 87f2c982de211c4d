//! What evaluators are made for, and what they do.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use lapidary_core::budget::Limits;
use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{
    Artefact, Artefacts, Checkpoints, EvalContext, Evaluator, Keeping, MetricInfo, attempt,
};
use lapidary_core::fit::Verdict;
use lapidary_core::goal::{Direction, Goal, Objective};
use lapidary_core::json::Json;
use lapidary_core::registry::{BuildError, Entry, EvalInit, EvalSource, Factory, Registry};
use lapidary_core::rng::Rng;
use lapidary_core::space::{Axis, Space};
use lapidary_core::trial::{Candidate, Metrics, Outcome, Report};

/// Points that are evaluated.
const POINTS: u64 = 3;
/// The runtime that measures models.
const RUNTIME: &str = "rten";

/// An evaluator to be checked.
#[derive(Clone)]
pub struct Case {
    /// Its entry.
    pub entry: &'static Entry,
    /// Its settings; paths among them count from the working directory, which in a test is the package's folder.
    pub settings: Json,
    registry: Arc<Registry>,
    axes: Option<Vec<Axis>>,
}

/// What came of an evaluation.
#[derive(Debug)]
pub struct Evaluated {
    /// The outcome.
    pub outcome: Outcome,
    /// The intermediate reports, in order.
    pub curve: Vec<Report>,
    /// What it left, each artefact as what identifies it.
    pub left: BTreeMap<String, Vec<String>>,
}

/// What trials keep for later stages, in memory.
#[derive(Default)]
pub struct Kept(Mutex<HashMap<(u64, String), Vec<u8>>>);

impl Kept {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<(u64, String), Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checkpoints for Kept {
    fn save(&self, id: u64, origin: &str, state: &[u8]) {
        self.all().insert((id, origin.to_owned()), state.to_vec());
    }

    fn load(&self, id: u64, origin: &str) -> Option<Vec<u8>> {
        self.all().get(&(id, origin.to_owned())).cloned()
    }

    fn forget(&self, id: u64) {
        self.all().retain(|(kept, _), _| *kept != id);
    }
}

impl Case {
    /// The evaluator of `entry` with these settings over its own axes; installed is what is linked into the program.
    ///
    /// # Panics
    /// When entries that are linked bear the same name.
    pub fn new(entry: &'static Entry, settings: Json) -> Self {
        Self {
            entry,
            settings,
            registry: Arc::new(Registry::new(&[]).expect("names are unique")),
            axes: None,
        }
    }

    /// The same over other axes.
    pub fn over(self, axes: Vec<Axis>) -> Self {
        Self {
            axes: Some(axes),
            ..self
        }
    }

    /// The same where these are installed too.
    ///
    /// # Panics
    /// When entries bear the same name.
    pub fn with(self, entries: &[&'static Entry]) -> Self {
        Self {
            registry: Arc::new(Registry::new(entries).expect("names are unique")),
            ..self
        }
    }

    pub(super) fn source(&self) -> EvalSource<'_> {
        EvalSource {
            installed: &self.registry,
            paths: &(),
        }
    }

    /// The axes that the evaluator offers with these settings.
    pub(super) fn own_axes(&self, settings: &Json) -> Result<Vec<Axis>, BuildError> {
        let Factory::Evaluator { axes, .. } = self.entry.factory else {
            panic!("`{}` is not an evaluator", self.entry.info.name);
        };
        axes(settings, &self.source())
    }

    /// The space that is searched.
    pub fn space(&self) -> Arc<Space> {
        let own = || {
            self.own_axes(&self.settings)
                .unwrap_or_else(|e| panic!("{}: {e}", self.settings))
        };
        let axes = self.axes.clone().unwrap_or_else(own);
        assert!(
            !axes.is_empty(),
            "`{}` offers no axes of its own: give some",
            self.entry.info.name
        );
        Arc::new(Space::new(axes).expect("the axes make a space"))
    }

    /// Makes the evaluator with other settings, and lets `work` have it.
    pub(super) fn with_settings<T>(
        &self,
        settings: &Json,
        metrics: &[String],
        kept: Arc<dyn Checkpoints>,
        work: impl FnOnce(Result<&dyn Evaluator, BuildError>) -> T,
    ) -> T {
        let Factory::Evaluator { make, .. } = self.entry.factory else {
            panic!("`{}` is not an evaluator", self.entry.info.name);
        };
        let objective = |metric: &String| Objective {
            metric: metric.clone(),
            direction: Direction::Minimize,
        };
        let objectives = match metrics {
            [] => vec![objective(&"value".to_owned())],
            metrics => metrics.iter().map(objective).collect(),
        };
        let goal = Goal::new(objectives, vec![], vec![]).expect("it has an objective");
        let (space, nothing) = (self.space(), Json::Null);
        let init = EvalInit {
            source: self.source(),
            space: &space,
            goal: &goal,
            seed: 1,
            runtime: (RUNTIME, &nothing),
            threads: None,
            limits: Limits::default(),
            program: None,
            checkpoints: kept,
        };
        match make(settings, &init) {
            Ok(evaluator) => work(Ok(evaluator.as_ref())),
            Err(error) => work(Err(error)),
        }
    }

    /// Makes the evaluator for a goal that reads `metrics`, and lets `work` have it.
    pub(super) fn made_for<T>(
        &self,
        metrics: &[String],
        work: impl FnOnce(&dyn Evaluator) -> T,
    ) -> T {
        self.with_settings(&self.settings, metrics, Arc::new(()), |made| {
            work(made.unwrap_or_else(|e| panic!("{}: {e}", self.settings)))
        })
    }

    /// Makes the evaluator for a goal that reads nothing volatile, and lets `work` have it.
    pub fn made<T>(&self, work: impl FnOnce(&dyn Evaluator) -> T) -> T {
        self.made_for(&self.steady(), work)
    }

    /// The metrics that another run gives again.
    pub(super) fn steady(&self) -> Vec<String> {
        let declared = self.declared().unwrap_or_default().into_iter();
        let steady = declared.filter(|metric| !metric.volatile);
        steady.map(|metric| metric.name).collect()
    }

    /// The metrics that the evaluator declares.
    pub(super) fn declared(&self) -> Option<Vec<MetricInfo>> {
        self.made_for(&[], |evaluator| evaluator.metrics())
    }

    /// Candidates over the whole space, at full fidelity: its middle and points that are drawn.
    pub fn candidates(&self) -> Vec<Candidate> {
        let space = self.space();
        let point = |id: u64| match id {
            0 => space.middle(),
            id => space.sample(&mut Rng::keyed(5, id, "candidates")),
        };
        let candidate = |id| Candidate {
            id,
            point: point(id),
            fidelity: 1.0,
            parent: None,
        };
        (0..POINTS).map(candidate).collect()
    }

    /// Whether outcomes are the same but for volatile metrics.
    pub(super) fn assert_same(&self, one: &Evaluated, two: &Evaluated, what: &str) {
        let volatile = self.declared().unwrap_or_default();
        let volatile = |name: &String| volatile.iter().any(|m| m.volatile && m.name == *name);
        let bits = |metrics: &Metrics| -> Vec<(String, u64)> {
            let steady = metrics.iter().filter(|(name, _)| !volatile(name));
            steady
                .map(|(name, value)| (name.clone(), value.to_bits()))
                .collect()
        };
        let outcome = |outcome: &Outcome| match outcome {
            Outcome::Measured { metrics } => ("measured", bits(metrics)),
            Outcome::Stopped { metrics, .. } => ("stopped", bits(metrics)),
            Outcome::Failed { .. } => ("failed", Vec::new()),
        };
        assert_eq!(outcome(&one.outcome), outcome(&two.outcome), "{what}");
        let curve = |evaluated: &Evaluated| -> Vec<(u64, Vec<(String, u64)>)> {
            let curve = evaluated.curve.iter();
            curve
                .map(|report| (report.step, bits(&report.metrics)))
                .collect()
        };
        assert_eq!(curve(one), curve(two), "{what}: the reports");
        assert!(one.left == two.left, "{what}: what is left differs");
    }
}

/// Evaluates a candidate to its end.
pub(super) fn evaluate(evaluator: &dyn Evaluator, candidate: &Candidate) -> Evaluated {
    run(evaluator, candidate, &[], &Cancel::new(), &|_| {
        Verdict::Continue
    })
}

/// Evaluates a candidate that goes on from others; `verdict` is asked with every report.
pub(super) fn run(
    evaluator: &dyn Evaluator,
    candidate: &Candidate,
    lineage: &[Candidate],
    cancel: &Cancel,
    verdict: &(dyn Fn(&Report) -> Verdict + Sync),
) -> Evaluated {
    let (curve, left) = (Mutex::new(Vec::new()), Keeping::default());
    let report = |step: u64, metrics: &Metrics| {
        let report = Report {
            step,
            metrics: metrics.clone(),
        };
        let verdict = verdict(&report);
        curve
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(report);
        verdict
    };
    let cx = EvalContext {
        seed: 1,
        cancel,
        lineage,
        report: &report,
        keep: &|name, artefact| left.keep(name, artefact),
    };
    let outcome = attempt(evaluator, candidate, &cx);
    if let Outcome::Failed { reason } = &outcome {
        assert!(
            !reason.contains("panicked"),
            "candidate {}: {reason}",
            candidate.point.to_json()
        );
    }
    Evaluated {
        outcome,
        curve: curve.into_inner().unwrap_or_else(PoisonError::into_inner),
        left: identified(left.into_artefacts()),
    }
}

/// Artefacts by what identifies them.
fn identified(artefacts: Artefacts) -> BTreeMap<String, Vec<String>> {
    let artefacts = artefacts.into_iter().map(|(name, artefact)| {
        let identity = match artefact {
            Artefact::Bytes(bytes) => vec![format!("{bytes:?}")],
            Artefact::Model(model) => vec![
                format!("{:?}", model.topology().nodes),
                format!("{:?}", model.weights()),
            ],
        };
        (name, identity)
    });
    artefacts.collect()
}
