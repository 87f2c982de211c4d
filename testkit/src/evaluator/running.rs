//! What an evaluation does while it runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapidary_core::cancel::Cancel;
use lapidary_core::evaluator::{Checkpoints, Evaluator};
use lapidary_core::fit::Verdict;
use lapidary_core::registry::Promise;
use lapidary_core::trial::{Candidate, Outcome, Report};

use super::case::{Case, Evaluated, Kept, evaluate, run};

/// An evaluation that was cancelled returns within this time, on any machine.
const PROMPT: Duration = Duration::from_secs(20);

/// Where [`Promise::Reports`] is declared, steps of reports rise, and each has the metrics that are declared as stepwise;
/// otherwise there is no report.
pub fn reports_rise_where_promised(case: &Case) {
    let promised = case.entry.promises(Promise::Reports);
    let declared = case.declared();
    let stepwise: Vec<String> = (declared.iter().flatten())
        .filter(|metric| metric.stepwise)
        .map(|metric| metric.name.clone())
        .collect();
    assert!(
        promised || stepwise.is_empty(),
        "stepwise metrics are declared, but not that it reports"
    );
    let mut reports = 0;
    case.made(|evaluator| {
        for candidate in case.candidates() {
            let curve = evaluate(evaluator, &candidate).curve;
            reports += curve.len();
            assert!(
                curve.is_sorted_by(|a, b| a.step < b.step),
                "steps {:?}",
                curve.iter().map(|report| report.step).collect::<Vec<_>>()
            );
            for Report { step, metrics } in &curve {
                for name in &stepwise {
                    assert!(metrics.contains_key(name), "step {step} has no `{name}`");
                }
                let known = |name: &String| {
                    let declared = declared.as_ref();
                    declared.is_none_or(|all| all.iter().any(|metric| metric.name == *name))
                };
                for name in metrics.keys() {
                    assert!(known(name), "`{name}` of step {step} is not declared");
                }
            }
        }
    });
    assert_eq!(reports > 0, promised, "{reports} reports");
}

/// Where [`Promise::Reports`] is declared, an evaluation that is told to stop makes no further report, and its outcome is stopped,
/// with what was measured until then.
pub fn stopping_is_honoured_where_promised(case: &Case) {
    if !case.entry.promises(Promise::Reports) {
        return;
    }
    let mut stopped = 0;
    case.made(|evaluator| {
        for candidate in case.candidates() {
            let stop = |_: &Report| Verdict::Stop;
            let found = run(evaluator, &candidate, &[], &Cancel::new(), &stop);
            let reports = found.curve.len();
            assert!(reports <= 1, "told to stop, it made {reports} reports");
            match found.outcome {
                Outcome::Stopped { metrics, reason } => {
                    assert!(!metrics.is_empty() && !reason.is_empty());
                    stopped += 1;
                }
                Outcome::Measured { .. } => {
                    assert_eq!(reports, 0, "told to stop, it went on to its end");
                }
                Outcome::Failed { .. } => {}
            }
        }
    });
    assert!(stopped > 0, "no evaluation could be stopped");
}

/// Told to end, before it starts or at its first report, the evaluation returns soon and reports nothing more.
pub fn cancelling_returns_promptly(case: &Case) {
    case.made(|evaluator| {
        for candidate in case.candidates() {
            let early = Cancel::new();
            early.cancel();
            let go_on = |_: &Report| Verdict::Continue;
            let (found, took) = timed(|| run(evaluator, &candidate, &[], &early, &go_on));
            assert!(found.curve.is_empty(), "cancelled before it began");
            assert!(took < PROMPT, "cancelled before it began: {took:?}");

            let late = Cancel::new();
            let at_first = |_: &Report| {
                late.cancel();
                Verdict::Continue
            };
            let (found, took) = timed(|| run(evaluator, &candidate, &[], &late, &at_first));
            let reports = found.curve.len();
            assert!(
                reports <= 1,
                "cancelled at its work, it made {reports} reports"
            );
            assert!(took < PROMPT, "cancelled at its work: {took:?}");
        }
    });
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

/// Where [`Promise::TakesFidelity`] is declared, every fidelity gives an outcome, and a share of an evaluation makes no more reports
/// than a whole one; otherwise the fidelity changes nothing.
pub fn fidelity_saves_where_promised(case: &Case) {
    let promised = case.entry.promises(Promise::TakesFidelity);
    case.made(|evaluator| {
        for candidate in case.candidates() {
            let whole = evaluate(evaluator, &candidate);
            let mut reports = 0;
            for fidelity in [f64::MIN_POSITIVE, 0.1, 0.5, 1.0] {
                let share = Candidate {
                    fidelity,
                    ..candidate.clone()
                };
                let found = evaluate(evaluator, &share);
                let what = format!("fidelity {fidelity}");
                if !promised || fidelity == 1.0 {
                    case.assert_same(&whole, &found, &what);
                    continue;
                }
                assert!(found.curve.len() >= reports, "{what}: fewer reports");
                reports = found.curve.len();
                assert!(reports <= whole.curve.len(), "{what}: {reports} reports");
                if matches!(whole.outcome, Outcome::Measured { .. }) {
                    let outcome = &found.outcome;
                    assert!(
                        matches!(outcome, Outcome::Measured { .. }),
                        "{what}: {outcome:?}"
                    );
                }
            }
        }
    });
}

/// An evaluation that goes on from earlier ones has the outcome that it has where what those kept was lost.
pub fn what_earlier_stages_kept_is_only_a_short_cut(case: &Case) {
    if !case.entry.promises(Promise::TakesFidelity) {
        return;
    }
    for (n, candidate) in case.candidates().into_iter().enumerate() {
        let stage = |i: usize, fidelity| Candidate {
            id: (10 * n + i) as u64,
            fidelity,
            parent: i.checked_sub(1).map(|before| (10 * n + before) as u64),
            ..candidate.clone()
        };
        let stages = [stage(0, 0.3), stage(1, 0.6), stage(2, 1.0)];
        let kept = stages_in(case, &stages, Arc::new(Kept::default()));
        let lost = stages_in(case, &stages, Arc::new(()));
        for (i, (kept, lost)) in kept.iter().zip(&lost).enumerate() {
            case.assert_same(kept, lost, &format!("stage {i}, kept and lost"));
        }
    }
}

fn stages_in(case: &Case, stages: &[Candidate], kept: Arc<dyn Checkpoints>) -> Vec<Evaluated> {
    let all = |evaluator: &dyn Evaluator| {
        let go_on = |_: &Report| Verdict::Continue;
        let stages = stages
            .iter()
            .enumerate()
            .map(|(i, candidate)| run(evaluator, candidate, &stages[..i], &Cancel::new(), &go_on));
        stages.collect()
    };
    case.with_settings(&case.settings, &case.steady(), kept, |made| {
        all(made.unwrap_or_else(|e| panic!("{}: {e}", case.settings)))
    })
}
