//! Opening every kind of data through the public face.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use lapidary_core::samples::{Samples, Targets, Task};
use lapidary_data::{DataError, Encoder, Options, Part, TaskKind, class_weights, fit_inputs, open};
use ndarray_npy::NpzWriter;

fn shipped(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data")
        .join(name);
    path.to_str().unwrap().to_string()
}

fn labels(samples: &Samples) -> &[usize] {
    match &samples.targets {
        Some(Targets::Classes { labels, .. }) => labels,
        other => panic!("classes expected, found {other:?}"),
    }
}

fn shape(samples: &Samples) -> &[usize] {
    samples.inputs["input"].shape()
}

fn floats(samples: &Samples) -> Vec<f32> {
    samples.inputs["input"]
        .as_f32()
        .unwrap()
        .iter()
        .copied()
        .collect()
}

fn file(dir: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn digits_split_seventy_fifteen_fifteen_whatever_the_machine() {
    let data = open("digits", &Options::default()).unwrap();
    assert_eq!(data.default_part(), Part::All);
    let shape_of_task = data.task_shape().unwrap();
    assert_eq!(shape_of_task.sample, [1, 8, 8]);
    assert_eq!(shape_of_task.task, Task::Classification { classes: 10 });
    let split = data.split().unwrap();
    assert_eq!(
        split.train.len() + split.valid.len() + split.test.len(),
        1797
    );
    assert!(split.train.len().abs_diff(1258) <= 2 && split.test.len().abs_diff(270) <= 2);
    let values = floats(&split.train);
    assert!(values.iter().all(|v| (0.0..=1.0).contains(v)));
    assert!(values.contains(&1.0) && values.contains(&0.0));
    for digit in 0..10 {
        let count = |samples| labels(samples).iter().filter(|&&l| l == digit).count();
        assert!(count(&split.test).abs_diff(count(&split.valid)) <= 1);
    }
    // The split is part of every published number: it must not change unnoticed.
    assert_eq!(
        labels(&split.test)[..12],
        [0, 5, 6, 4, 0, 8, 8, 3, 1, 2, 2, 3]
    );
    assert_eq!(
        open("digits", &Options::default())
            .unwrap()
            .split()
            .unwrap(),
        split
    );
    let other = Options {
        seed: 1,
        ..Options::default()
    };
    assert_ne!(
        open("digits", &other).unwrap().split().unwrap().test,
        split.test
    );
}

#[test]
fn the_official_test_part_stays_apart() {
    let data = open(&shipped("fashion_mnist"), &Options::default()).unwrap();
    assert_eq!((data.len(), data.default_part()), (2000, Part::Test));
    let split = data.split().unwrap();
    assert_eq!(shape(&split.test), [500, 1, 28, 28]);
    assert!(split.train.len().abs_diff(1275) <= 2);
    let all = data.part(Part::All, None).unwrap();
    assert_eq!(labels(&all)[1500..], *labels(&split.test));
    assert_eq!(labels(&split.test)[..8], [9, 2, 1, 1, 6, 1, 4, 6]);
    let few = data.part(Part::Test, Some(3)).unwrap();
    assert_eq!(few, split.test.head(3));
}

#[test]
fn images_are_normalised_by_channel() {
    let plain = open("digits", &Options::default())
        .unwrap()
        .part(Part::All, Some(5))
        .unwrap();
    let options = Options {
        mean: vec![0.5],
        std: vec![0.25],
        ..Options::default()
    };
    let normal = open("digits", &options)
        .unwrap()
        .part(Part::All, Some(5))
        .unwrap();
    let expected: Vec<f32> = floats(&plain).iter().map(|v| (v - 0.5) / 0.25).collect();
    assert_eq!(floats(&normal), expected);
    let message = open(&shipped("iris.csv"), &options)
        .unwrap_err()
        .to_string();
    assert_eq!(message, "mean: only images are normalised by channel");
}

#[test]
fn tables_of_all_kinds_open() {
    let classes = |name: &str| {
        let data = open(&shipped(name), &Options::default()).unwrap();
        let shape = data.task_shape().unwrap();
        (data.len(), shape.sample, shape.task)
    };
    assert_eq!(
        classes("iris.csv"),
        (150, vec![4], Task::Classification { classes: 3 })
    );
    assert_eq!(
        classes("wine.csv"),
        (178, vec![13], Task::Classification { classes: 3 })
    );
    assert_eq!(
        classes("breast_cancer.csv"),
        (285, vec![30], Task::Classification { classes: 2 })
    );
    assert_eq!(
        classes("diabetes.csv"),
        (221, vec![10], Task::Regression { values: 1 })
    );
    let options = Options {
        target: Some("alcohol".into()),
        task: Some(TaskKind::Regression),
        ..Options::default()
    };
    let wine = open(&shipped("wine.csv"), &options).unwrap();
    assert_eq!(
        wine.task_shape().unwrap().task,
        Task::Regression { values: 1 }
    );
}

#[test]
fn a_table_with_gaps_and_few_of_one_class() {
    let options = Options {
        test: Some(shipped("census-test.csv").into()),
        ..Options::default()
    };
    let data = open(&shipped("census-train.csv"), &options).unwrap();
    let split = data.split().unwrap();
    assert_eq!((data.len(), split.test.len()), (560, 160));
    // Numbers: age, hours, gain; words with an unknown place: work 4 + 1, education 5 + 1, family 4 + 1, region 5 + 1.
    assert_eq!(shape(&split.train)[1], 3 + 5 + 6 + 5 + 6);
    let train = floats(&split.train);
    for column in 0..shape(&split.train)[1] {
        let values: Vec<f32> = train.iter().skip(column).step_by(25).copied().collect();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!(
            mean.abs() < 1e-5 || (0.0..=1.0).contains(&mean),
            "column {column}: {mean}"
        );
    }
    let weights = class_weights(split.train.targets.as_ref().unwrap());
    assert!(
        weights[0] > 2.0 && weights[1] < 1.0,
        "above is rare: {weights:?}"
    );
}

#[test]
fn a_raw_table_goes_through_the_encoder_of_an_earlier_one() {
    let dir = tempfile::tempdir().unwrap();
    let train = file(
        dir.path(),
        "train.csv",
        "39, State-gov, 77516, <=50K\n50, ?, 83311, >50K\n38, Private, 215646, <=50K\n53, Private, 1, >50K\n",
    );
    let headless = Options {
        no_header: true,
        ..Options::default()
    };
    let data = open(&train, &headless).unwrap();
    let saved = Encoder::beside(&dir.path().join("model.onnx"));
    data.encoder().unwrap().save(&saved).unwrap();

    let test = file(
        dir.path(),
        "test.csv",
        "39, State-gov, 77516, <=50K.\n1, New, ?, >50K.\n",
    );
    let later = Options {
        encoder: Some(Encoder::load(&saved).unwrap()),
        ..headless.clone()
    };
    let raw = open(&test, &later).unwrap().part(Part::All, None).unwrap();
    assert_eq!(labels(&raw), [0, 1]);
    let first = data.part(Part::All, Some(1)).unwrap();
    assert_eq!(floats(&raw.head(1)), floats(&first));

    let message = |source: &str, options: &Options| open(source, options).unwrap_err().to_string();
    let narrow = file(dir.path(), "narrow.csv", "39, State-gov, <=50K\n");
    assert_eq!(
        message(&narrow, &later),
        format!("{narrow}: no column `c3`; there are c0, c1, c2")
    );
    let wrong = file(
        dir.path(),
        "wrong.csv",
        "39, a, 77516, <=50K\n\n40, b, many, <=50K\n",
    );
    assert_eq!(
        message(&wrong, &later),
        format!("{wrong}, line 3, column `c2`: `many` is not a number")
    );
    let named = Options {
        target: Some("income".into()),
        ..headless
    };
    assert_eq!(
        message(&train, &named),
        format!("{train}: no column `income`; there are c0, c1, c2, c3")
    );
}

#[test]
fn what_is_fitted_never_sees_the_other_parts() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("x,w,t\n");
    for i in 0..40 {
        text.push_str(&format!("{i},w{},{}\n", i % 3, ["a", "b"][i % 2]));
    }
    let plain = open(&file(dir.path(), "plain.csv", &text), &Options::default()).unwrap();
    let test = plain.split().unwrap().test;
    // The first test row, told by its number, which is its place in the file.
    let encoder = plain.encoder().unwrap().clone();
    let all = plain.part(Part::All, None).unwrap();
    let width = shape(&all)[1];
    let first_test = floats(&test)[..width].to_vec();
    let place = floats(&all)
        .chunks(width)
        .position(|row| row == first_test)
        .unwrap();
    let label = ["a", "b"][place % 2];
    let changed = text.replace(
        &format!("\n{place},w{},{label}\n", place % 3),
        &format!("\n1000000,unheard of,{label}\n"),
    );
    assert_ne!(changed, text);
    let outlier = open(
        &file(dir.path(), "outlier.csv", &changed),
        &Options::default(),
    )
    .unwrap();
    assert_eq!(outlier.encoder().unwrap(), &encoder);
    assert_ne!(outlier.split().unwrap().test, test);
}

#[test]
fn npz_arrays_keep_their_names_and_types() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens.npz");
    let mut npz = NpzWriter::new_compressed(fs::File::create(&path).unwrap());
    npz.add_array("ids", &ndarray::Array2::<i64>::ones((20, 6)))
        .unwrap();
    npz.add_array("y", &ndarray::Array1::from_iter((0..20i64).map(|i| i % 2)))
        .unwrap();
    npz.finish().unwrap();
    let data = open(path.to_str().unwrap(), &Options::default()).unwrap();
    let shape = data.task_shape().unwrap();
    assert_eq!((shape.input.as_str(), shape.sample), ("ids", vec![6]));
    assert_eq!(
        data.part(Part::Train, None).unwrap().inputs["ids"]
            .dtype()
            .to_string(),
        "i64"
    );
}

#[test]
fn gzipped_cifar_and_gzipped_tables_are_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let packed = |bytes: &[u8]| {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    };
    let mut images = Vec::new();
    for label in 0..10 {
        images.push(label);
        images.extend([51; 3072]);
    }
    let cifar = file(dir.path(), "some.bin.gz", packed(&images));
    let data = open(&cifar, &Options::default()).unwrap();
    let all = data.part(Part::All, None).unwrap();
    assert_eq!(shape(&all), [10, 3, 32, 32]);
    assert!(floats(&all).iter().all(|&v| v == 51.0 / 255.0));
    let table = file(
        dir.path(),
        "some.csv.gz",
        packed(&fs::read(shipped("iris.csv")).unwrap()),
    );
    assert_eq!(open(&table, &Options::default()).unwrap().len(), 150);
}

#[test]
fn test_data_of_its_own_joins_by_class_name() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, y: &[i32]| {
        let path = dir.path().join(name);
        let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
        npz.add_array("x", &ndarray::Array2::<f32>::ones((y.len(), 2)))
            .unwrap();
        npz.add_array("y", &ndarray::Array1::from(y.to_vec()))
            .unwrap();
        npz.finish().unwrap();
        path.to_str().unwrap().to_string()
    };
    let (main, more) = (write("main.npz", &[0, 1, 1, 0]), write("more.npz", &[2, 1]));
    let options = |test: &str| Options {
        test: Some(test.into()),
        ..Options::default()
    };
    let data = open(&main, &options(&more)).unwrap();
    assert_eq!(labels(&data.part(Part::Test, None).unwrap()), [2, 1]);
    assert_eq!(
        data.task_shape().unwrap().task,
        Task::Classification { classes: 3 }
    );
    for wrong in ["digits", &shipped("iris.csv")] {
        assert!(open(&main, &options(wrong)).is_err());
    }
    let message = open(&shipped("fashion_mnist"), &options("digits"))
        .unwrap_err()
        .to_string();
    assert!(
        message.ends_with("comes with a test part of its own"),
        "{message}"
    );
}

#[test]
fn what_is_no_data_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let message = |source: &str| open(source, &Options::default()).unwrap_err().to_string();
    let missing = dir.path().join("missing.csv");
    assert!(message(missing.to_str().unwrap()).contains("missing.csv: "));
    let odd = file(dir.path(), "data.parquet", "PAR1");
    assert!(message(&odd).contains("known are `digits`"));
    assert!(message(dir.path().to_str().unwrap()).contains("known are `digits`"));
    assert!(
        "tst"
            .parse::<Part>()
            .unwrap_err()
            .to_string()
            .contains("train, valid, test, all")
    );
    let named = Options {
        target: Some("t".into()),
        ..Options::default()
    };
    let message = open("digits", &named).unwrap_err().to_string();
    assert_eq!(message, "target: only tables have columns");
    for part in Part::ALL {
        assert_eq!(part.to_string().parse::<Part>().unwrap(), part);
    }
    let tiny = file(dir.path(), "tiny.csv", "a,t\n1,x\n");
    let data = open(&tiny, &Options::default()).unwrap();
    assert!(matches!(
        data.split(),
        Err(DataError::EmptyPart { part: "valid", .. })
    ));
}

#[test]
fn samples_fit_a_model_that_wants_them_flat() {
    use lapidary_core::model::{Dim, Port, Signature};
    use lapidary_core::tensor::DType;
    let data = open(&shipped("fashion_mnist"), &Options::default()).unwrap();
    let signature = Signature {
        inputs: vec![Port {
            name: "pixels".into(),
            dtype: DType::F32,
            shape: vec![Dim::Symbol("batch".into()), Dim::Fixed(784)],
            activation: None,
        }],
        outputs: vec![],
    };
    let samples = data.part(Part::Test, Some(7)).unwrap();
    let fitted = fit_inputs(&samples, &signature).unwrap();
    assert_eq!(fitted.inputs["pixels"].shape(), [7, 784]);
    assert_eq!(
        fitted.inputs["pixels"]
            .as_f32()
            .unwrap()
            .iter()
            .copied()
            .collect::<Vec<_>>(),
        floats(&samples)
    );
}
