//! Distillation of models for the digits.

use lapidary_core::model::{Edit, Model, Size};
use lapidary_core::optimizer::OptimizeError;
use lapidary_core::tensor::DType;
use lapidary_distill::ENTRY;
use lapidary_model::GraphModel;
use lapidary_testkit::optimizer::{World, accuracy, digits, family, trained};
use serde_json::{Value, json};

fn refused(model: &dyn Model, settings: Value) -> String {
    match World::digits().run(&ENTRY, &settings, model) {
        Ok(_) => panic!("{settings} was distilled"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_file_is_a_student_and_takes_over_names() {
    let teacher = trained("convnet", &json!({"width": 12}), 15);
    let teacher = teacher
        .apply(&[Edit::RenameValue {
            from: "logits".into(),
            to: "scores".into(),
        }])
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("student.onnx");
    let student = family("convnet", &json!({"width": 6}), 9).unwrap();
    let student = GraphModel::of(student.as_ref()).unwrap();
    student.save(&path).unwrap();
    let world = World {
        train: Some(digits().0.train.clone()),
        ..World::digits()
    };
    let settings = json!({"student": path, "epochs": 15, "learning_rate": 0.01});
    let result = world
        .run(&ENTRY, &settings, teacher.as_ref())
        .unwrap()
        .model;
    assert_eq!(result.signature(), teacher.signature());
    assert_eq!(result.signature().outputs[0].dtype, DType::F32);
    assert_eq!(Size::of(result.as_ref()).params, Size::of(student).params);
    let test = &digits().0.test;
    let (was, is) = (
        accuracy(teacher.as_ref(), test).unwrap(),
        accuracy(result.as_ref(), test).unwrap(),
    );
    assert!(is > was - 0.08, "teacher {was}, student {is}");
}

#[test]
fn what_does_not_fit_is_said() {
    let teacher = family("mlp", &json!({"depth": 1, "width": 16}), 0).unwrap();
    assert_eq!(
        refused(
            teacher.as_ref(),
            json!({"settings": {"depth": 1, "width": 16}})
        ),
        "distill: the student `mlp` has 1210 parameters, the model 1210; make it smaller with `settings`"
    );
    assert!(refused(teacher.as_ref(), json!({"student": "resnet"})).contains("convnet"));
    assert!(refused(teacher.as_ref(), json!({"student": "missing.onnx"})).contains("missing.onnx"));
    let world = World {
        train: None,
        ..World::digits()
    };
    let error = world
        .run(&ENTRY, &json!({}), teacher.as_ref())
        .err()
        .unwrap();
    assert!(matches!(&error, OptimizeError::Needs { .. }), "{error}");
}

#[test]
fn samples_without_labels_are_enough() {
    let teacher = trained("mlp", &json!({}), 12);
    let mut train = digits().0.train.clone();
    train.targets = None;
    let world = World {
        train: Some(train),
        ..World::digits()
    };
    let settings = json!({"settings": {"depth": 1, "width": 32}, "epochs": 10});
    let result = world.run(&ENTRY, &settings, teacher.as_ref()).unwrap();
    let reached = accuracy(result.model.as_ref(), &digits().0.test).unwrap();
    assert!(reached > 0.88, "{reached}");
    assert!(result.notes[0].contains("no labels"), "{:?}", result.notes);
}

#[test]
fn training_goes_on_where_the_goal_is_not_met() {
    let teacher = trained("mlp", &json!({}), 12);
    let settings = json!({"settings": {"depth": 1, "width": 24}, "epochs": 6});
    let world = World::digits();
    let valid = world.valid.clone().unwrap();
    let once = world
        .run(&ENTRY, &settings, teacher.as_ref())
        .unwrap()
        .model;
    let once = accuracy(once.as_ref(), &valid).unwrap();
    let result = world
        .run_with(&ENTRY, &settings, teacher.as_ref(), &|m| {
            m["accuracy"] > once + 0.02
        })
        .unwrap();
    let reached = accuracy(result.model.as_ref(), &valid).unwrap();
    assert!(
        reached > once + 0.02,
        "{once} became {reached}: {:?}",
        result.notes
    );
    assert!(
        result
            .notes
            .iter()
            .any(|n| n.starts_with("the goal was met after")),
        "{:?}",
        result.notes
    );
}
