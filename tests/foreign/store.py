"""What Optuna makes of a store.

    store.py sqlite STORE.db STUDY TRIALS.jsonl    the study has the exported trials
    store.py journal JOURNAL.log STUDY TRIALS.jsonl
    store.py running STORE.db STUDY                a study that is being written can be read
    store.py go-on STORE.db STUDY N                adds N trials
"""

import json
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)


def sqlite(path):
    return optuna.storages.RDBStorage(f"sqlite:///{path}")


def journal(path):
    backend = optuna.storages.journal.JournalFileBackend(path)
    return optuna.storages.JournalStorage(backend)


def described(study):
    assert [d.name for d in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert study.metric_names == ["f1", "f2"]


def compare(storage, name, exported):
    study = optuna.load_study(study_name=name, storage=storage)
    described(study)
    with open(exported) as file:
        wanted = [json.loads(line) for line in file]
    trials = study.get_trials(deepcopy=False)
    assert len(trials) == len(wanted), (len(trials), len(wanted))
    assert [t.number for t in trials] == list(range(len(trials)))
    for trial, line in zip(trials, wanted):
        assert trial.state == optuna.trial.TrialState.COMPLETE
        assert trial.params == line["point"], (trial.params, line)
        metrics = line["outcome"]["metrics"]
        assert trial.values == [metrics["f1"], metrics["f2"]]
        for name, distribution in trial.distributions.items():
            assert distribution._contains(distribution.to_internal_repr(trial.params[name]))
        if "constraints" in trial.system_attrs:
            (constraint,) = trial.system_attrs["constraints"]
            assert (constraint <= 0) == (metrics["f1"] <= 0.75)
            assert trial.datetime_start <= trial.datetime_complete
        else:
            assert line["origin"] == "foreign"
    points = {json.dumps(t.params, sort_keys=True) for t in study.best_trials}
    assert points and len(study.best_trials) < len(trials)
    return study


def running(path, name):
    before = 0
    for _ in range(3):
        study = optuna.load_study(study_name=name, storage=sqlite(path))
        described(study)
        trials = study.get_trials(deepcopy=False)
        complete = [t for t in trials if t.state == optuna.trial.TrialState.COMPLETE]
        assert len(complete) > before
        before = len(complete)
        assert all(t.values and t.params for t in complete)


def go_on(path, name, count):
    study = optuna.load_study(study_name=name, storage=sqlite(path))

    def objective(trial):
        a = trial.suggest_float("a", 0.0, 1.0)
        trial.suggest_float("b", 1e-3, 1.0, log=True)
        trial.suggest_int("c", 0, 1)
        if trial.suggest_categorical("d", [0.0, 0.5, 1.0]) == 0.5:
            trial.suggest_float("e", 0.0, 1.0, step=0.25)
        return a, 1.0 - a

    study.optimize(objective, n_trials=count)


match sys.argv[1:]:
    case ["sqlite", path, name, exported]:
        compare(sqlite(path), name, exported)
    case ["journal", path, name, exported]:
        compare(journal(path), name, exported)
    case ["running", path, name]:
        running(path, name)
    case ["go-on", path, name, count]:
        go_on(path, name, int(count))
    case _:
        sys.exit(__doc__)
