"""Where every search of codes starts: the specification's reference and the uncoded network.

The paper's own moduli and number of modules are not known.
"""

from collections.abc import Mapping, Sequence

REFERENCE: Mapping[str, str | float] = {
    # Section 4.2 of the specification: error .0025 at failure and sd of .02. On circuits of bits all moduli are 3.
    "data.task": "multiplier_nand",
    "model.code": "grid",
    "model.n_modules": 8,
    "model.moduli": "equal",
    "model.decoders": "local",
    "model.score_norm": "modules",
    "model.representation": "phase",
}

UNCODED: Mapping[str, str | float] = {
    "data.task": "multiplier_nand",
    "model.code": "average",
    "model.n_copies": 1,
}

START: Sequence[Mapping[str, str | float]] = (REFERENCE, UNCODED)
