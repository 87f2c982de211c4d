"""How good the searchers are on tables of trained networks: median regret against the best row. Peers and ours evaluate one
network at a time (window 1); ours also in a window of 4. The tables are read from the folder LAPIDARY_DATA.
"""

import os
import sys

import peers
import problems
import report
from quality import KEEP, compare, print_found

CHOSEN = {"Optuna TPE": peers.TPE, "Regularised evolution": peers.regularised_evolution}
TABLES = [
    (["nas_macro", "nas_201"], [50, 100, 200]),
    (["fcnet_protein", "fcnet_parkinsons"], [100, 200, 500]),
]


def main():
    args = report.arguments(__doc__)
    data = os.environ.get("LAPIDARY_DATA")
    if not data:
        sys.exit("set LAPIDARY_DATA to the folder with the real data (tables/, …)")
    raw = report.Raw(args.raw, KEEP)
    our_seeds = 20 if args.quick else 200
    slow = 2 if args.quick else 10
    seeds = lambda name: slow if name == "Optuna TPE" else our_seeds
    for names, marks in TABLES:
        found, objectives = {}, {}
        for name in names:
            evaluate = problems.table(name, data)
            objectives[name] = compare(raw, name, evaluate, lambda _: CHOSEN, our_seeds, seeds, marks, found)
        print_found("Tables: median regret", found, names, objectives, marks)


if __name__ == "__main__":
    main()
