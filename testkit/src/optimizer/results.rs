//! What comes out, and what happens to what went in.

use lapidary_core::json::Json;
use lapidary_core::model::predict;
use lapidary_core::registry::Entry;
use lapidary_model::GraphModel;

use super::world::{World, digits, file, models};

/// The result has the names, types and shapes of the model's inputs and outputs.
pub fn the_signature_stays(entry: &Entry, settings: &Json) {
    for (name, model) in models() {
        let result = World::digits().optimized(entry, settings, model.as_ref());
        assert_eq!(result.signature(), model.signature(), "{name}");
    }
}

/// The result gives finite numbers, one row for each sample.
pub fn outputs_are_finite(entry: &Entry, settings: &Json) {
    let test = digits().0.test.head(70);
    for (name, model) in models() {
        let result = World::digits().optimized(entry, settings, model.as_ref());
        let outputs = predict(result.as_ref(), &test, 32).unwrap_or_else(|e| panic!("{name}: {e}"));
        let outputs = outputs.values;
        assert_eq!(outputs.shape(), [70, 10], "{name}");
        assert!(outputs.iter().all(|v| v.is_finite()), "{name}");
    }
}

/// The model that went in has the same bits afterwards, whether the optimizer succeeds or is stopped at its work.
pub fn the_input_is_not_changed(entry: &Entry, settings: &Json) {
    for (name, model) in models() {
        let before = file(model.as_ref());
        World::digits().optimized(entry, settings, model.as_ref());
        assert!(
            file(model.as_ref()) == before,
            "{name}: changed by a success"
        );
        let stopped = World {
            cancels_at_work: true,
            ..World::digits()
        };
        // Whether it was done before it could be stopped does not matter here.
        let _ = stopped.run(entry, settings, model.as_ref());
        assert!(
            file(model.as_ref()) == before,
            "{name}: changed by an error"
        );
    }
}

/// `file_bytes` is the number of bytes that are written, and what was written gives the same numbers when read again.
pub fn bytes_counted_are_bytes_written(entry: &Entry, settings: &Json) {
    let test = digits().0.test.head(40);
    for (name, model) in models() {
        let result = World::digits().optimized(entry, settings, model.as_ref());
        let written = file(result.as_ref());
        let counted = result.file_bytes().expect("the model can be written");
        assert_eq!(counted, written.len() as u64, "{name}");
        let read = GraphModel::from_bytes(&written, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (was, is) = (
            predict(result.as_ref(), &test, 40),
            predict(&read, &test, 40),
        );
        let (was, is) = (
            was.expect("the result runs").values,
            is.expect("what was written runs").values,
        );
        let largest = was.iter().fold(0f32, |m, v| m.max(v.abs()));
        let off = was
            .iter()
            .zip(&is)
            .fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(
            off <= 1e-4 * largest + 1e-6,
            "{name}: read again, outputs differ by {off}"
        );
    }
}

/// The same seed gives the same bits with 1, 2 and 5 threads.
pub fn seeds_decide_and_threads_do_not(entry: &Entry, settings: &Json) {
    for (name, model) in &models()[..2] {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool").install(|| {
                file(
                    World::digits()
                        .optimized(entry, settings, model.as_ref())
                        .as_ref(),
                )
            })
        };
        let one = run(1);
        for threads in [2, 5] {
            assert!(
                run(threads) == one,
                "{name}: another result with {threads} threads than with 1"
            );
        }
    }
}
