"""The peers, each with its own defaults, evaluating one point at a time.

A peer is called with (axes, objectives, evaluate, budget, seed) and goes on until `evaluate` raises `Spent`.
"""

import math
import os
import random
import warnings
from importlib.metadata import version

# Small matrices: more threads than one cost more than they bring.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
warnings.filterwarnings("ignore")


class Spent(Exception):
    """All evaluations are spent."""


def span(axis):
    """The bounds of a numeric axis."""
    return axis["float"] if "float" in axis else axis["int"]


# Optuna


def optuna_study(sampler, objectives, storage=None):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(storage=storage, sampler=sampler, directions=["minimize"] * objectives)


def optuna_sampler(name, seed):
    import optuna

    return getattr(optuna.samplers, name)(seed=seed)


def suggest(trial, axes):
    point = []
    for i, axis in enumerate(axes):
        name = f"p{i}"
        if "choice" in axis:
            point.append(trial.suggest_categorical(name, list(range(len(axis["choice"])))))
        else:
            of_kind = trial.suggest_float if "float" in axis else trial.suggest_int
            point.append(of_kind(name, *span(axis), log=axis["log"]))
    return point


def optuna_trial(study, axes, evaluate):
    trial = study.ask()
    study.tell(trial, evaluate(suggest(trial, axes)))


def optuna(name):
    def run(axes, objectives, evaluate, budget, seed):
        study = optuna_study(optuna_sampler(name, seed), objectives)
        while True:
            optuna_trial(study, axes, evaluate)

    return run


# DEAP has parts, not a ready algorithm: 50 individuals, simulated binary crossover (index 15, rate 0.9), polynomial mutation
# (index 20, one axis on average), tournaments of 3, the best of parents and children survive; or its NSGA-II with 52.


def at_unit(axis, u):
    """The value at u in [0, 1]: equal parts for equal parts of the axis's own scale."""
    if "choice" in axis:
        n = len(axis["choice"])
        return min(n - 1, int(u * n))
    low, high = span(axis)
    if "int" in axis:
        a, b = low - 0.5, high + 0.5
        value = a * (b / a) ** u if axis["log"] else a + u * (b - a)
        return min(high, max(low, round(value)))
    return low * (high / low) ** u if axis["log"] else low + u * (high - low)


def deap(axes, objectives, evaluate, budget, seed):
    from deap import base, creator, tools

    random.seed(seed)
    fitness, individual = f"Fitness{objectives}", f"Individual{objectives}"
    if not hasattr(creator, individual):
        creator.create(fitness, base.Fitness, weights=(-1.0,) * objectives)
        creator.create(individual, list, fitness=getattr(creator, fitness))
    clone = base.Toolbox().clone

    def rate(members):
        for member in members:
            member.fitness.values = tuple(evaluate([at_unit(axis, u) for axis, u in zip(axes, member)]))
        return members

    size = 50 if objectives == 1 else 52
    new = getattr(creator, individual)
    population = rate([new(random.random() for _ in axes) for _ in range(size)])
    if objectives > 1:
        population = tools.selNSGA2(population, size)
    while True:
        if objectives > 1:
            children = tools.selTournamentDCD(population, size)
        else:
            children = tools.selTournament(population, size, tournsize=3)
        children = [clone(child) for child in children]
        for a, b in zip(children[::2], children[1::2]):
            if random.random() < 0.9:
                tools.cxSimulatedBinaryBounded(a, b, eta=15.0, low=0.0, up=1.0)
            for child in (a, b):
                tools.mutPolynomialBounded(child, eta=20.0, low=0.0, up=1.0, indpb=1 / len(axes))
        both = population + rate(children)
        population = tools.selNSGA2(both, size) if objectives > 1 else tools.selBest(both, size)


# pymoo: GA or NSGA-II; where axes are mixed, its mixed-variable GA.


def pymoo(axes, objectives, evaluate, budget, seed):
    import numpy
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.core.evaluator import Evaluator
    from pymoo.core.mixed import MixedVariableGA
    from pymoo.core.problem import Problem
    from pymoo.core.variable import Choice, Integer, Real
    from pymoo.problems.static import StaticProblem

    def variable(axis):
        if "choice" in axis:
            return Choice(options=list(range(len(axis["choice"]))))
        if "int" in axis:
            return Integer(bounds=tuple(axis["int"]))
        low, high = axis["float"]
        return Real(bounds=(math.log(low), math.log(high)) if axis["log"] else (low, high))

    def value(axis, v):
        if "float" in axis:
            low, high = axis["float"]
            return min(high, max(low, math.exp(v))) if axis["log"] else float(v)
        return int(v)

    real = all("float" in axis and not axis["log"] for axis in axes)
    if real:
        low, high = (numpy.array(bounds, float) for bounds in zip(*map(span, axes)))
        problem = Problem(n_var=len(axes), n_obj=objectives, xl=low, xu=high)
        algorithm = GA() if objectives == 1 else NSGA2()
    else:
        problem = Problem(vars={f"p{i}": variable(axis) for i, axis in enumerate(axes)}, n_obj=objectives)
        algorithm = MixedVariableGA()
    algorithm.setup(problem, termination=("n_eval", 2 * budget), seed=seed, verbose=False)
    while algorithm.has_next():
        population = algorithm.ask()
        rows = [list(p.X) if real else [p.X[f"p{i}"] for i in range(len(axes))] for p in population]
        reached = [evaluate([value(axis, v) for axis, v in zip(axes, row)]) for row in rows]
        Evaluator().eval(StaticProblem(problem, F=numpy.array(reached, float)), population)
        algorithm.tell(infills=population)


# Nevergrad


def nevergrad(axes, objectives, evaluate, budget, seed):
    import nevergrad as ng
    import numpy

    def parameter(axis):
        if "choice" in axis:
            return ng.p.Choice(list(range(len(axis["choice"]))))
        low, high = span(axis)
        scalar = (ng.p.Log if axis["log"] else ng.p.Scalar)(lower=low, upper=high)
        return scalar.set_integer_casting() if "int" in axis else scalar

    random.seed(seed)
    numpy.random.seed(seed)
    space = ng.p.Tuple(*map(parameter, axes))
    space.random_state.seed(seed)
    optimizer = ng.optimizers.registry["NGOpt"](parametrization=space, budget=budget, num_workers=1)
    while True:
        candidate = optimizer.ask()
        optimizer.tell(candidate, evaluate(list(candidate.value))[0])


# Regularised evolution (Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture Search", 2019):
# the best of 10 of the 50 youngest, one axis of it changed.


def regularised_evolution(axes, objectives, evaluate, budget, seed, population=50, sample=10):
    rng = random.Random(seed)
    values = [range(len(a["choice"])) if "choice" in a else range(a["int"][0], a["int"][1] + 1) for a in axes]
    alive = []
    while True:
        if len(alive) < population:
            point = [rng.choice(v) for v in values]
        else:
            point = list(min(rng.sample(alive, sample))[1])
            axis = rng.randrange(len(axes))
            point[axis] = rng.choice([v for v in values[axis] if v != point[axis]])
            alive.pop(0)
        alive.append((evaluate(point)[0], point))


def run(peer, axes, objectives, evaluate, budget, seed):
    """Objectives of the first `budget` evaluations of a peer."""
    reached = []

    def counted(point):
        if len(reached) == budget:
            raise Spent
        reached.append(evaluate(point))
        return reached[-1]

    try:
        peer(axes, objectives, counted, budget, seed)
    except Spent:
        pass
    return reached


def versions():
    return {name: version(name) for name in ("optuna", "cmaes", "deap", "pymoo", "nevergrad")}


RANDOM = optuna("RandomSampler")
TPE = optuna("TPESampler")
CMA_ES = optuna("CmaEsSampler")
NSGA_II = optuna("NSGAIISampler")
