//! Distillation: is it worth it?

use lapidary_core::cancel::Cancel;
use lapidary_core::fit::{FitContext, FitPlan, Verdict};
use lapidary_core::json::Json;
use lapidary_core::model::{Model, Size};
use lapidary_core::registry::Entry;
use serde_json::json;

use super::world::{World, accuracy, digits, family};

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
    let teacher = teacher();
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

/// A model trained on all training digits.
fn teacher() -> Box<dyn Model> {
    let split = &digits().0;
    let model = family("mlp", &json!({}), 0).expect("the zoo builds it");
    let plan = FitPlan {
        learning_rate: 3e-3,
        epochs: 15,
        ..FitPlan::default()
    };
    let context = FitContext {
        cancel: &Cancel::new(),
        epoch: &|_| Verdict::Continue,
    };
    let trainable = model.trainable().expect("the zoo's models can be trained");
    let fitted = trainable.fit(&plan, &split.train, None, &context);
    let teacher = fitted.expect("training works").model;
    let accuracy = accuracy(teacher.as_ref(), &split.test).expect("the teacher runs");
    assert!(
        accuracy > 0.93,
        "a teacher of accuracy {accuracy} teaches nothing"
    );
    teacher
}
