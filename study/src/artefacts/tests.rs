use std::sync::{Arc, OnceLock};

use lapidary_core::goal::{Direction, Goal, Objective};
use lapidary_core::space::{Axis, Domain, Space};
use lapidary_core::trial::{Metrics, Origin};
use tempfile::TempDir;

use super::*;

/// Nothing is installed: there are no models here.
fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::new(&[]).unwrap())
}

/// A study that minimises `a` and, where it has two objectives, `b`.
fn identity(objectives: &[&str]) -> Identity {
    let domain = Domain::Int {
        low: 0,
        high: 99,
        log: false,
        step: 1,
    };
    let objective = |metric: &&str| Objective {
        metric: (*metric).to_owned(),
        direction: Direction::Minimize,
    };
    Identity {
        space: Arc::new(Space::new(vec![Axis::new("x", domain)]).unwrap()),
        goal: Goal::new(objectives.iter().map(objective).collect(), vec![], vec![]).unwrap(),
        strategy: "random".into(),
        settings: json!({}),
        seed: 1,
        window: 4,
        repeats: false,
        start: vec![],
        stop: None,
        evaluate: json!({"kind": "mine"}),
        runtime: "rten".into(),
        plugins: BTreeMap::new(),
    }
}

/// A study whose trials leave what the test says.
struct Told {
    folder: TempDir,
    identity: Identity,
    keeper: Keeper<'static>,
}

impl Told {
    fn new(objectives: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = identity(objectives);
        let shelf = Shelf::new(&folder.path().join("deep/er"), &identity);
        Self {
            keeper: Keeper::new(shelf, &identity.goal, registry()),
            folder,
            identity,
        }
    }

    fn candidate(&self, id: u64) -> Candidate {
        Candidate {
            id,
            point: self.identity.space.at_unit(&[id as f64 / 100.0]),
            fidelity: 1.0,
            parent: None,
        }
    }

    fn trial(&self, id: u64, values: [f64; 2]) -> Trial {
        let outcome = Outcome::Measured {
            metrics: Metrics::from(
                ["a", "b"].map(|n| (n.to_owned(), values[usize::from(n == "b")])),
            ),
        };
        Trial {
            candidate: self.candidate(id),
            origin: Origin::Own,
            score: self.identity.goal.score(&outcome).ok(),
            outcome,
            curve: Vec::new(),
            repeats: None,
        }
    }

    fn left(&mut self, trial: &Trial, artefacts: &[(&str, &str)]) {
        let bytes = |text: &str| Artefact::Bytes(text.as_bytes().to_vec());
        let artefacts = artefacts.iter();
        let artefacts = artefacts.map(|(name, text)| ((*name).to_owned(), bytes(text)));
        self.keeper
            .left(&trial.candidate, &trial.outcome, &artefacts.collect());
    }

    fn tell(&mut self, id: u64, values: [f64; 2], artefacts: &[(&str, &str)]) {
        let trial = self.trial(id, values);
        self.left(&trial, artefacts);
        self.keeper.told(&trial).unwrap();
    }

    fn shelf(&self) -> &Shelf {
        &self.keeper.shelf
    }

    /// What is on the shelf of a trial.
    fn read(&self, id: u64) -> Option<Vec<(String, Vec<u8>)>> {
        let read = self.shelf().read(&self.candidate(id))?;
        let bytes = read.into_iter().map(|(name, artefact)| match artefact {
            Artefact::Bytes(bytes) => (name, bytes),
            Artefact::Model(_) => panic!("files are bytes"),
        });
        Some(bytes.collect())
    }

    /// The trials whose artefacts are kept.
    fn kept(&self) -> Vec<u64> {
        (0..10).filter(|id| self.read(*id).is_some()).collect()
    }

    /// Number of files in the folder.
    fn files(&self) -> usize {
        fs::read_dir(&self.shelf().folder).map_or(0, Iterator::count)
    }
}

#[test]
fn the_front_keeps_what_it_left_and_nobody_else() {
    let mut study = Told::new(&["a", "b"]);
    study.tell(0, [1.0, 9.0], &[("model", "m0"), ("table", "t")]);
    study.tell(1, [9.0, 1.0], &[("model", "m1"), ("table", "t")]);
    // Beaten from the start.
    study.tell(2, [2.0, 9.5], &[("model", "m2")]);
    assert_eq!(study.kept(), [0, 1]);
    assert_eq!(study.files(), 2 + 3, "two labels, and one table for both");
    // It beats the first.
    study.tell(3, [0.5, 8.0], &[("model", "m3")]);
    assert_eq!(study.kept(), [1, 3]);
    assert_eq!(
        study.read(1).unwrap(),
        [
            ("model".to_owned(), b"m1".to_vec()),
            ("table".to_owned(), b"t".to_vec())
        ]
    );
    assert_eq!(study.files(), 2 + 3);
    // What leaves nothing takes places all the same.
    study.tell(4, [0.0, 0.0], &[]);
    assert_eq!((study.kept(), study.files()), (vec![], 0));
}

#[test]
fn a_share_of_an_evaluation_a_failed_one_and_a_repeated_one_leave_nothing() {
    let mut study = Told::new(&["a"]);
    let artefacts = [("model", "m")];
    let mut part = study.trial(0, [1.0, 0.0]);
    part.candidate.fidelity = 0.5;
    study.left(&part, &artefacts);
    let mut failed = study.trial(1, [1.0, 0.0]);
    failed.outcome = Outcome::Failed {
        reason: "no luck".into(),
    };
    study.left(&failed, &artefacts);
    assert_eq!(study.files(), 0);
    let first = study.trial(2, [1.0, 0.0]);
    study.left(&first, &artefacts);
    study.keeper.told(&first).unwrap();
    let mut answered = study.trial(3, [1.0, 0.0]);
    answered.candidate.point = first.candidate.point.clone();
    answered.repeats = Some(2);
    study.keeper.told(&answered).unwrap();
    assert_eq!(study.kept(), [2]);
    // Evaluated once more, the later one counts, even where it is worse.
    let mut again = study.trial(4, [5.0, 0.0]);
    again.candidate.point = first.candidate.point.clone();
    study.keeper.told(&again).unwrap();
    assert!(study.kept().is_empty());
}

#[test]
fn what_was_kept_is_found_again_and_what_is_lost_or_changed_is_not() {
    let mut study = Told::new(&["a"]);
    study.tell(0, [1.0, 0.0], &[("model", "m0")]);
    // Killed before it was told, and before its label was written.
    let waiting = study.trial(1, [0.5, 0.0]);
    study.left(&waiting, &[("model", "m1")]);
    let folder = study.shelf().folder.clone();
    fs::write(folder.join(hash(b"orphan")), b"orphan").unwrap();
    fs::create_dir_all(handed(&folder, 3)).unwrap();

    let resumed = |study: &mut Told| {
        let shelf = Shelf::new(&folder, &study.identity);
        study.keeper = Keeper::new(shelf, &study.identity.goal, registry());
    };
    resumed(&mut study);
    assert_eq!((study.kept(), study.files()), (vec![0, 1], 4));
    let first = study.trial(0, [1.0, 0.0]);
    study.keeper.told(&first).unwrap();
    assert_eq!(study.kept(), [0, 1]);
    study.keeper.told(&waiting).unwrap();
    assert_eq!((study.kept(), study.files()), (vec![1], 2));

    fs::write(folder.join(hash(b"m1")), b"M1").unwrap();
    assert!(study.kept().is_empty());
    let same = study.trial(2, [0.4, 0.5]);
    study.left(&same, &[("model", "m1")]);
    assert_eq!(study.kept(), [1, 2], "what is damaged is written again");
    fs::remove_file(folder.join(hash(b"m1"))).unwrap();
    assert!(study.kept().is_empty());

    // A study of another seed under the same name has trials of its own.
    study.left(&waiting, &[("model", "m1")]);
    study.identity.seed = 2;
    resumed(&mut study);
    assert!(study.kept().is_empty());
    study.keeper.told(&waiting).unwrap();
    study.keeper.told(&same).unwrap();
    assert_eq!(study.files(), 0);
}

#[test]
fn the_worst_go_first_where_files_take_too_much() {
    let mut study = Told::new(&["a", "b"]);
    study.keeper.most = 25;
    for (id, a) in [(0, 3.0), (1, 1.0), (2, 2.0)] {
        study.tell(id, [a, 9.0 - a], &[("model", &format!("ten bytes{id}"))]);
    }
    assert_eq!(study.kept(), [1, 2]);
    study.tell(3, [0.5, 9.0], &[("model", &"long".repeat(9))]);
    assert_eq!((study.kept(), study.files()), (vec![1, 2], 4));
}

#[test]
fn a_folder_that_cannot_be_written_is_no_failure() {
    let mut study = Told::new(&["a"]);
    let file = study.folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let shelf = Shelf::new(&file, &study.identity);
    study.keeper = Keeper::new(shelf, &study.identity.goal, registry());
    study.tell(0, [1.0, 0.0], &[("model", "m0")]);
    assert!(study.kept().is_empty());
    assert!(file.exists());
}

#[test]
fn what_is_handed_over_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let worker = handed(folder.path(), 0);
    let artefacts = vec![("log".to_owned(), Artefact::Bytes(b"text".to_vec()))];
    let files = lay_down(&worker, &artefacts, registry()).unwrap();
    let taken = take(&worker, &files).unwrap();
    assert!(
        matches!(&taken[..], [(name, Artefact::Bytes(bytes))] if name == "log" && bytes == b"text")
    );
    assert!(take(&worker, &files).is_none());
    let elsewhere = Kept {
        hash: "../../secret".into(),
        bytes: 1,
    };
    fs::write(folder.path().join("secret"), b"s").unwrap();
    assert!(take(&worker, &Files::from([("x".to_owned(), elsewhere)])).is_none());
}
