"""Our side: the examples `quality` and `cost` of benches/, built in release."""

import json
import math
import os
import subprocess
import sys


def lines(program, *args):
    """The JSON lines that a program prints, as they come."""
    with subprocess.Popen([program, *args], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode != 0:
        sys.exit(f"{program} {' '.join(args)} ended with {process.returncode}")


def example(name):
    return os.path.join(os.environ["LAPIDARY_EXAMPLES"], name)


def quality(strategy, problem, window, seeds, evaluate):
    """The problem's axes and objectives and all runs of one of our strategies, each checked against `evaluate`."""
    found = lines(example("quality"), strategy, f"only={problem}", f"window={window}", f"seeds={seeds}", "json=true")
    head, *runs = found
    for run in runs:
        same(problem, head["axes"], run["last"], evaluate)
    return head["axes"], head["objectives"], runs


def same(problem, axes, last, evaluate):
    """Ends the comparison where the peers' function has another value than ours at the last point of a run."""
    point = [v if "float" in axis else int(v) for axis, v in zip(axes, last["point"])]
    theirs = evaluate(point)
    if len(theirs) != len(last["objectives"]) or not all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in zip(theirs, last["objectives"])
    ):
        sys.exit(f"{problem} at {point} is {last['objectives']} on our side and {theirs} on the peers'")
