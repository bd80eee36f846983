"""Spaces that the tests of the memory search, and one that dies midway."""

PUBLISHED = [
    {"model.gain": 7.5, "model.depth": 4, "model.kind": "wide", "model.width": 48, "data.batch_size": 24},
    {"model.gain": -1.0, "model.kind": "plain"},
]


class Killed(BaseException):
    """What a kill looks like from inside."""


def space(trial):
    trial.suggest_float("model.gain", -3.0, 3.0)
    trial.suggest_int("model.depth", 1, 6)
    if trial.suggest_categorical("model.kind", ["plain", "wide"]) == "wide":
        trial.suggest_int("model.width", 8, 64, log=True)
    trial.suggest_int("data.batch_size", 8, 32, step=8)


def numeric_space(trial):
    trial.suggest_float("model.gain", -3.0, 3.0)
    trial.suggest_float("model.rate", 1e-4, 1e-1, log=True)
    trial.suggest_int("model.depth", 1, 6)


def finite_space(trial):
    """Seven points."""
    if trial.suggest_categorical("model.kind", ["plain", "wide"]) == "wide":
        trial.suggest_int("model.width", 1, 6)


def dying_space(trial):
    trial.suggest_float("model.gain", -3.0, 3.0)
    trial.suggest_int("model.depth", 1, 6)
    raise Killed


TWICE = [{"model.kind": "wide", "model.width": 2}] * 3
BEST_THEN_OTHERS = [
    *[{"model.kind": "wide", "model.width": width} for width in (1, 1, 1, 1, 6, 5, 4)],
    {"model.kind": "wide", "model.width": 2},
]
