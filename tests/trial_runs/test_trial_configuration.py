"""The resolved configuration that lies beside a checkpoint says everything that the trial was built with."""

import json

from neurosweep.experiments import Constraint, Experiment, Objective
from neurosweep.trials.build import TrialConfig


def test_configuration_read_back_from_json_equals_the_written_one():
    experiment = Experiment(
        "lab", "A lab's own", "lab:Model", "lab:Data", "lab:load", "lab:space",
        objectives=(Objective("val/r2", "maximize"), Objective("val/size", "minimize")),
        constraints=(Constraint("val/latency_ms", at_most=5.0),),
        prune_on=Objective("val/loss", "minimize"),
        mutable=("model.learning_rate",),
    )  # fmt: skip
    sections = {
        "model": {"widths": [3, 4], "bias": True, "dropout": None, "kind": "1"},
        "data": {},
        "trainer": {"max_epochs": 3},
    }
    written = TrialConfig(experiment, 7, 2**62 + 1, sections, data_hash="ab", data_seed=5)
    assert TrialConfig.from_dict(json.loads(json.dumps(written.as_dict()))) == written
