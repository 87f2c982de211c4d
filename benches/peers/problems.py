"""The problems, as the peers see them: objectives to minimise of a point, a list of values by axis, options by index.

Their spaces come from our side (`ours.py`), which also checks that both sides compute the same.
"""

import csv
import gzip
from math import cos, log2, log10, pi, sin, sqrt, tau
from pathlib import Path


def offset(i):
    """Where the optimum of sphere10 and rastrigin10 lies on axis i."""
    return 2.5 * sin(1.7 * i + 0.3)


def sphere(x):
    return [sum((v - offset(i)) ** 2 for i, v in enumerate(x))]


def rastrigin(x):
    away = [v - offset(i) for i, v in enumerate(x)]
    return [sum(z * z + 10 * (1 - cos(tau * z)) for z in away)]


def rosenbrock(x):
    return [sum(100 * (after - v * v) ** 2 + (1 - v) ** 2 for v, after in zip(x, x[1:]))]


def mixed(x):
    *reals, rate, units, depth, width, kind, mode = x
    value = sum((v - 2 * sin(i + 2 * kind)) ** 2 for i, v in enumerate(reals, 1))
    value += 2 * (log10(rate) + 2.5) ** 2 + 0.5 * (log2(width) - 6) ** 2
    value += ((units - 37) / 8) ** 2 + ((depth - 6) / 3) ** 2
    return [value + (3, 1, 0, 5)[kind] + (2, 0, 1)[mode]]


def zdt(x, waves):
    g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
    share = x[0] / g
    return [x[0], g * (1 - sqrt(share) - waves * share * sin(10 * pi * x[0]))]


FUNCTIONS = {
    "sphere10": sphere,
    "rastrigin10": rastrigin,
    "rosenbrock10": rosenbrock,
    "mixed10": mixed,
    "zdt1_10": lambda x: zdt(x, 0),
    "zdt3_10": lambda x: zdt(x, 1),
}

TABLES = {
    "nas_macro": ("nas_bench_macro_cifar10.csv.gz", "mean_acc", -1),
    "nas_201": ("nas_bench_201_cifar10.csv.gz", "accs", -1),
    "fcnet_protein": ("fcnet_protein_structure.csv.gz", "valid_mse", 1),
    "fcnet_parkinsons": ("fcnet_parkinsons_telemonitoring.csv.gz", "valid_mse", 1),
}


def table(name, data):
    """The regret of a table's rows: how much worse than its best row, by the mean of the column's values."""
    file, column, sign = TABLES[name]
    with gzip.open(Path(data) / "tables" / file, "rt", newline="") as text:
        rows = {}
        for row in csv.DictReader(text):
            key, values = next(iter(row.values())), [float(v) for v in row[column].split()]
            rows[key] = sign * sum(values) / len(values)
    best = min(rows.values())
    return lambda x: [rows["".join(map(str, x))] - best]


def hypervolume(points, reference=(11.0, 11.0)):
    """What two objectives dominate of the box below `reference`."""
    volume, lowest = 0.0, reference[1]
    for first, second in sorted(p for p in map(tuple, points) if p[0] < reference[0]):
        if second < lowest:
            volume += (reference[0] - first) * (lowest - second)
            lowest = second
    return volume
