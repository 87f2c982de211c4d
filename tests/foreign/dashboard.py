"""What optuna-dashboard shows of a store, through the answers that its pages are made of.

    dashboard.py STORE.db STUDY TRIALS.jsonl
"""

import json
import sys
from wsgiref.util import setup_testing_defaults

import optuna_dashboard

STATES = {"measured": "Complete", "failed": "Fail", "stopped": "Pruned"}


def get(app, path, query=""):
    environ = {"PATH_INFO": path, "QUERY_STRING": query}
    setup_testing_defaults(environ)
    status = []
    body = b"".join(app(environ, lambda line, headers, *_: status.append(line)))
    assert status[0].startswith("200"), (path, status, body)
    return json.loads(body)


def number(value):
    return float(value)


def shown(trial):
    return {p["name"]: p["param_external_value"] for p in trial["params"]}


def compare(trial, line, objectives):
    outcome = line["outcome"]
    assert trial["state"] == STATES[outcome["state"]], (trial, line)
    assert shown(trial) == {name: str(value) for name, value in line["point"].items()}
    steps = {v["step"]: v["value"] for v in trial["intermediate_values"]}
    if len(objectives) == 1:
        curve = {r["step"]: r["metrics"][objectives[0]] for r in line["curve"]}
        assert steps == curve, (steps, curve)
    attributes = {a["key"]: a["value"] for a in trial["user_attrs"]}
    if "reason" in outcome:
        assert attributes["reason"].strip('"') == outcome["reason"], attributes
    if outcome["state"] == "measured":
        assert trial["values"] == [outcome["metrics"][name] for name in objectives]
        for name in outcome["metrics"].keys() - set(objectives):
            assert number(attributes[name]) == outcome["metrics"][name]
        assert all(c <= 0 for c in trial["constraints"]) == (line["violation"] == 0), (trial, line)
    assert trial["datetime_start"] <= trial["datetime_complete"]
    return bool(steps)


store, name, exported = sys.argv[1:]
app = optuna_dashboard.wsgi(f"sqlite:///{store}")
studies = get(app, "/api/studies")["study_summaries"]
(study,) = [s for s in studies if s["study_name"] == name]
detail = get(app, f"/api/studies/{study['study_id']}", "after=0")
objectives = detail["objective_names"]
with open(exported) as file:
    lines = [json.loads(line) for line in file]
ended = [t for t in detail["trials"] if t["state"] not in ("Running", "Waiting")]
assert len(ended) >= len(lines) > 0
steps = [compare(trial, line, objectives) for trial, line in zip(ended, lines)]
if len(objectives) == 1:
    assert any(steps) == detail["has_intermediate_values"]
assert detail["best_trials"]
