"""How good the searchers are at equal evaluations, on functions: medians over seeds of the best value, or of the hypervolume of
two objectives to (11, 11). Peers and ours evaluate one point at a time (window 1); ours also in a window of 4.
"""

import sys

import ours
import peers
import problems
import report

MARKS = [100, 500, 1000]
OURS = [("greedy", 1), ("genetic", 1), ("adaptive", 1), ("random", 1), ("greedy", 4), ("genetic", 4), ("adaptive", 4)]
ONE = {
    "Optuna TPE": peers.TPE,
    "Optuna CMA-ES": peers.CMA_ES,
    "Optuna NSGA-II": peers.NSGA_II,
    "DEAP GA": peers.deap,
    "pymoo GA": peers.pymoo,
    "Nevergrad NGOpt": peers.nevergrad,
}
TWO = {
    "Optuna TPE": peers.TPE,
    "Optuna NSGA-II": peers.NSGA_II,
    "DEAP NSGA-II": peers.deap,
    "pymoo NSGA-II": peers.pymoo,
}


def progress(text):
    print(text, file=sys.stderr, flush=True)


def reached(values, marks, objectives):
    at = (lambda v: min(x[0] for x in v)) if objectives == 1 else problems.hypervolume
    return {str(mark): at(values[:mark]) for mark in marks}


def compare(raw, problem, evaluate, chosen, our_seeds, peer_seeds, marks, found):
    """Adds to `found` the medians of our strategies and of all peers on one problem, by name."""
    for strategy, window in OURS:
        progress(f"{problem}: {strategy}, window {window}")
        axes, objectives, runs = ours.quality(strategy, problem, window, our_seeds, evaluate)
        for run in runs:
            raw.add(run)
        found.setdefault(f"`{strategy}`" if window == 1 else f"`{strategy}`, window {window}", {})[problem] = (
            report.medians(runs, marks),
            len(runs),
        )
    for name, peer in chosen(objectives).items():
        runs = []
        for seed in range(peer_seeds(name)):
            key = {"peer": name, "versions": peers.versions(), "problem": problem, "seed": seed, "budget": marks[-1]}
            run = raw.find(**key)
            if run is None:
                progress(f"{problem}: {name}, seed {seed}")
                values = peers.run(peer, axes, objectives, evaluate, marks[-1], seed)
                run = raw.add(key | {"reached": reached(values, marks, objectives)})
            runs.append(run)
        found.setdefault(name, {})[problem] = (report.medians(runs, marks), len(runs))
    return objectives


def ratio(found, problem, better):
    """The best median of ours with one evaluation at a time, by that of the peers, after all evaluations."""
    last = {name: by[problem][0][-1] for name, by in found.items() if problem in by and "window" not in name}
    mine = better(v for name, v in last.items() if name.startswith("`"))
    theirs = better(v for name, v in last.items() if not name.startswith("`"))
    return f"{mine / theirs:.3g}" if theirs else ("1" if mine == theirs else "∞")


def print_found(title, found, names, objectives, marks):
    rows = [[name, seeds(by)] + [cell(by.get(problem)) for problem in names] for name, by in found.items()]
    better = {name: min if objectives[name] == 1 else max for name in names}
    rows.append(["best of ours ÷ best of the peers", ""] + [ratio(found, name, better[name]) for name in names])
    report.print_table(f"{title} after {' / '.join(map(str, marks))}", ["", "seeds"] + names, rows)


def seeds(by):
    return str(next(iter(by.values()))[1])


def cell(entry):
    return " / ".join(map(report.number, entry[0])) if entry else ""


KEEP = ("peer", "versions", "problem", "seed", "budget")


def main():
    args = report.arguments(__doc__)
    raw = report.Raw(args.raw, KEEP)
    marks = MARKS[:2] if args.quick else MARKS
    most = 2 if args.quick else 10
    found, objectives = {}, {}
    for name, evaluate in problems.FUNCTIONS.items():
        chosen = lambda n: ONE if n == 1 else TWO
        objectives[name] = compare(raw, name, evaluate, chosen, most, lambda _: most, marks, found)
    print_found("Functions: medians", found, list(objectives), objectives, marks)


if __name__ == "__main__":
    main()
