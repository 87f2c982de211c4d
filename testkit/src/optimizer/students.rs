//! Distillation: is it worth it?

use lapidary_core::json::Json;
use lapidary_core::model::Size;
use lapidary_core::registry::Entry;
use serde_json::json;

use super::world::{World, accuracy, digits, trained};

/// A student has fewer parameters than its teacher, and over three seeds is on average at least as good on digits that
/// nobody saw as the same student trained for as long on labels alone, which is what the settings `alone` say.
///
/// Not one of the properties of every optimizer: call it in a test of a distilling one.
pub fn students_are_smaller_and_learn_from_their_teacher(
    entry: &Entry,
    settings: &Json,
    alone: &Json,
) {
    let split = &digits().0;
    let teacher = trained("mlp", &json!({}), 15);
    let (mut taught, mut untaught) = (0.0, 0.0);
    for seed in 0..3 {
        let world = World {
            train: Some(split.train.head(300)),
            seed,
            ..World::digits()
        };
        let test = |settings: &Json| {
            let student = world.optimized(entry, settings, teacher.as_ref());
            let params = (
                Size::of(student.as_ref()).params,
                Size::of(teacher.as_ref()).params,
            );
            assert!(
                params.0 < params.1,
                "a student of {} parameters, a teacher of {}",
                params.0,
                params.1
            );
            accuracy(student.as_ref(), &split.test).expect("the student runs")
        };
        taught += test(settings) / 3.0;
        untaught += test(alone) / 3.0;
    }
    assert!(
        taught >= untaught,
        "accuracy {taught} with the teacher, {untaught} without"
    );
}
