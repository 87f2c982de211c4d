"""What search itself costs, with ten mixed axes and one evaluation at a time: time of one ask and tell after trials that were told,
time and bytes of a stored trial (files in memory), and the most memory a process used. Each number is a process of its own.
Times of other programs that run meanwhile are not counted: peers and stored trials are given in processor time, our asks and tells
as a median over stretches too short to be interrupted often.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import ours
import peers
import problems
import report

STUDY = Path(__file__).with_name("mixed.toml")
PEERS = {
    "Optuna random": peers.RANDOM,
    "Optuna TPE": peers.TPE,
    "Optuna NSGA-II": peers.NSGA_II,
    "DEAP GA": peers.deap,
    "pymoo GA": peers.pymoo,
}
# Trials timed together; the median of the stretches is given.
STRETCH = 100
STRETCHES = 9


def axes():
    """The ten mixed axes."""
    head, *_ = ours.lines(ours.example("quality"), "random", "only=mixed10", "seeds=1", "json=true")
    return head["axes"]


def peak_memory():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def stretches(times, size):
    """Milliseconds a trial: the median over stretches of `size` trials; `times` are those at which each ended."""
    ends = times[::size]
    return 1e3 * median((b - a) / size for a, b in zip(ends, ends[1:]))


def ask_and_tell(name, told):
    """A peer's trial after `told` others; a slow one is given them as random trials instead of running them."""
    given = told if name == "Optuna TPE" else 0
    size = 3 if given >= 1000 else STRETCH
    times = []

    def evaluate(point):
        times.append(time.process_time())
        return problems.mixed(point)

    if given:
        optuna_given(given, evaluate, size * STRETCHES)
    else:
        peers.run(PEERS[name], axes(), 1, evaluate, told + size * STRETCHES + 1, 1)
    return {"peer": name, "told": told, "ms": stretches(times[-size * STRETCHES - 1 :], size), "peak_mb": peak_memory()}


def optuna_given(trials, evaluate, more):
    """Optuna's TPE over a study that has as many trials already as random search would have left."""
    import optuna

    study = peers.optuna_study(optuna.samplers.RandomSampler(seed=1), 1)
    distributions = {}
    for i, axis in enumerate(axes()):
        if "choice" in axis:
            distributions[f"p{i}"] = optuna.distributions.CategoricalDistribution(list(range(len(axis["choice"]))))
        else:
            kind = "FloatDistribution" if "float" in axis else "IntDistribution"
            distributions[f"p{i}"] = getattr(optuna.distributions, kind)(*peers.span(axis), log=axis["log"])
    points = []
    peers.run(peers.RANDOM, axes(), 1, lambda point: points.append(point) or [0.0], trials, 1)
    for point in points:
        values = {f"p{i}": v for i, v in enumerate(point)}
        study.add_trial(
            optuna.trial.create_trial(params=values, distributions=distributions, values=problems.mixed(point))
        )
    study.sampler = peers.optuna_sampler("TPESampler", 1)
    for _ in range(more + 1):
        peers.optuna_trial(study, axes(), evaluate)


def stored(name, trials):
    """A stored trial of Optuna's random search, in its SQLite or its journal storage."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        file = os.path.join(folder, "studies")
        storage = f"sqlite:///{file}" if name == "Optuna random, SQLite" else JournalStorage(JournalFileBackend(file))
        study = peers.optuna_study(peers.optuna_sampler("RandomSampler", 1), 1, storage)
        times = [time.process_time()]
        for _ in range(trials):
            peers.optuna_trial(study, axes(), problems.mixed)
            times.append(time.process_time())
        size = max(1, trials // STRETCHES)
        ms, total = stretches(times, size), os.path.getsize(file)
    return {"peer": name, "told": trials, "ms": ms, "bytes": total / trials, "peak_mb": peak_memory()}


def memory():
    """A folder in memory, where the system has one."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def search(trials, *more):
    """Seconds of processor time of a whole study of ours, and the most memory it used, in megabytes."""
    command = [os.environ["LAPIDARY"], "search", STUDY, "--trials", str(trials), "--jobs", "1", "--json", *more]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def our_stored(trials):
    """A trial of a whole study of ours: asked, evaluated, told and stored."""
    runs, sizes = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory(dir=memory()) as folder:
            file = os.path.join(folder, "studies.db")
            runs.append(search(trials, "--store", file))
            sizes.append(os.path.getsize(file))
    seconds, peak = min(runs)
    ms = 1e3 * seconds / trials
    return {"strategy": "random", "stored": True, "told": trials, "ms": ms, "bytes": sizes[0] / trials, "peak_mb": peak}


def our_kept(trials):
    """The same without a store."""
    seconds, peak = min(search(trials) for _ in range(3))
    return {"strategy": "random", "stored": False, "told": trials, "ms": 1e3 * seconds / trials, "peak_mb": peak}


def fresh(kind, name, n):
    """What a process of its own measures of a peer."""
    return next(ours.lines(sys.executable, __file__, kind, name, str(n)))


def by(run, runs, name, told):
    """How many times the time of our `name` a run took."""
    mine = next((r["ms"] for r in runs if r.get("strategy") == name and r["told"] == told), None)
    return f"{run['ms'] / mine:.3g} ×" if mine else ""


def row(run, *ratios):
    name = run.get("peer") or f"`{run['strategy']}`"
    size = run.get("bytes")
    return [name, str(run["told"]), report.number(run["ms"]), *ratios, report.number(size), report.number(run["peak_mb"])]


def main():
    args = report.arguments(__doc__)
    raw = report.Raw(args.raw)
    few = [1000] if args.quick else [1000, 10_000]
    runs = []
    for name in ("random", "genetic", "greedy", "adaptive"):
        for told in few if args.quick else [*few, 100_000]:
            runs.append(raw.add(next(ours.lines(ours.example("cost"), name, str(told)))))
    for name in PEERS:
        runs += [raw.add(fresh("ask_and_tell", name, told)) for told in few]
    rows = [row(r, *(by(r, runs, name, r["told"]) for name in ("random", "genetic", "adaptive"))) for r in runs]
    head = ["", "told", "ms", "÷ `random`", "÷ `genetic`", "÷ `adaptive`", "bytes", "peak MB"]
    report.print_table("One ask and tell, ten mixed axes", head, rows)

    trials = 100 if args.quick else 500
    kept = [our_stored(10_000), our_kept(10_000)]
    kept += [fresh("stored", name, trials) for name in ("Optuna random, SQLite", "Optuna random, journal")]
    for run in kept:
        raw.add(run)
    kept[0]["strategy"], kept[1]["strategy"] = "random, SQLite", "random, not stored"
    rows = [row(run, f"{run['ms'] / kept[0]['ms']:.3g} ×") for run in kept]
    head = ["", "trials", "ms", "÷ ours stored", "bytes", "peak MB"]
    report.print_table("One trial of a whole study, files in memory", head, rows)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] in ("ask_and_tell", "stored"):
        measure = {"ask_and_tell": ask_and_tell, "stored": stored}[sys.argv[1]]
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
    else:
        main()
