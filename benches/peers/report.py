"""Arguments, raw results and tables of the comparisons."""

import argparse
import json
from pathlib import Path
from statistics import median


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--raw", type=Path, required=True, help="file of JSON lines, one a run")
    parser.add_argument("--quick", action="store_true", help="fewer seeds and evaluations")
    return parser.parse_args()


class Raw:
    """Runs as JSON lines. What depends on seeds alone is not run again: a comparison that was stopped goes on."""

    def __init__(self, path, keep=()):
        self.path, self.keep = path, keep
        self.runs = {}
        if keep and path.exists():
            runs = [json.loads(line) for line in path.read_text().splitlines()]
            self.runs = {self.key(run): run for run in runs if all(name in run for name in keep)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(run) + "\n" for run in self.runs.values()))

    def key(self, run):
        return json.dumps([run[name] for name in self.keep])

    def find(self, **key):
        return self.runs.get(self.key(key))

    def add(self, run):
        with self.path.open("a") as file:
            file.write(json.dumps(run) + "\n")
        return run


def number(value):
    """As many digits as one reads."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    if abs(value) < 1e-9:
        return "~0"
    if abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def medians(runs, marks):
    """The median over runs of what was reached at each mark."""
    return [median(run["reached"][str(mark)] for run in runs) for mark in marks]


def print_table(title, head, rows):
    print(f"\n## {title}\n")
    print("| " + " | ".join(head) + " |")
    print("|---|" + "--:|" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)
