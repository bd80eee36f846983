"""What users do with Lightning besides a plain fit: loaders, limits, averaging, early stopping; with kills."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_flatten

from neurosweep.naming import Failure
from neurosweep.trials import epoch_metrics
from neurosweep.trials.reload import load_model
from neurosweep.trials.setup import Pace

RARELY = Pace(checkpoint_share=0.0, report_seconds=1e9)


def same_state(one, other) -> bool:
    parts = ("state_dict", "optimizer_states", "lr_schedulers")
    leaves, shape = tree_flatten([one[part] for part in parts])
    others, other_shape = tree_flatten([other[part] for part in parts])
    return shape == other_shape and all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(leaves, others, strict=True)
    )


@pytest.mark.parametrize(
    ("loader", "workers"),
    [
        ("noisy", 0),
        ("stream", 0),
        ("batches", 0),
        ("weighted", 0),
        ("subset", 0),
        ("shuffled", 1),
        ("noisy", 1),
    ],
)
def test_a_killed_trial_draws_what_an_undisturbed_one_would_whatever_its_loader(
    make_learner, loader, workers
):
    whole, killed = make_learner("whole", epochs=3), make_learner("killed", epochs=3)
    whole.data = killed.data = {"loader": loader, "workers": workers}
    assert killed.run_killed_after(0) == whole.run()
    assert killed.told() == whole.told()
    assert same_state(killed.last_state(), whole.last_state())


@pytest.mark.parametrize("scheduler", ["none", "epoch", "plateau"])
@pytest.mark.parametrize("steps", [100, 12])
def test_a_limit_in_steps_costs_a_killed_trial_no_epoch(make_learner, steps, scheduler):
    whole = make_learner("whole", epochs=6, scheduler=scheduler)
    killed = make_learner("killed", epochs=6, scheduler=scheduler)
    whole.trainer = killed.trainer = {"max_steps": steps}  # three an epoch
    assert killed.run_killed_after(1) == whole.run()
    assert sorted(killed.told()) == list(range(min(6, steps // 3)))
    assert killed.told() == whole.told()
    assert same_state(killed.last_state(), whole.last_state())


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_trial_that_stopped_by_itself_stays_stopped_after_a_kill(make_scripted, epoch):
    """Going on would find the 9: its best epoch would depend on a kill."""
    bench = make_scripted(1.0, 3.0, 2.0, 2.0, 2.0, 9.0, 9.0, patience=3)
    assert bench.run_killed_after(epoch).values == (3.0,)
    assert sorted(bench.told()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("pace", [Pace(checkpoint_share=float("inf"), report_seconds=0.0), RARELY])
def test_the_kept_weights_of_an_averaging_callback_are_those_that_were_validated(make_learner, lab, pace):
    bench = make_learner("averaged", epochs=4, pace=pace, averaged=True)
    (reported,) = bench.run().values
    model = load_model(bench.folder.best_checkpoint)
    rates = torch.tensor(lab.load().rates, dtype=torch.float32)
    with torch.inference_mode():
        again = torch.nn.functional.mse_loss(model(rates), rates.sum(dim=1, keepdim=True)).item()
    assert again == pytest.approx(reported, abs=1e-6)


def test_seconds_of_epochs_without_validation_are_counted_with_the_next_one(make_learner, lab, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(epoch_metrics.time, "monotonic", lambda: now[0])
    step = lab.Learner.training_step

    def slow(module, batch, batch_index):
        now[0] += 1.0  # three batches an epoch
        return step(module, batch, batch_index)

    monkeypatch.setattr(lab.Learner, "training_step", slow)
    bench = make_learner("seldom", epochs=4)
    bench.trainer = {"check_val_every_n_epoch": 2}
    bench.run()
    seconds = [
        {key: value for key, value, *_ in one["points"]}["cost/epoch_seconds"] for one in bench.reports
    ]
    assert seconds == [6.0, 6.0]


def test_a_metric_of_an_earlier_epoch_is_not_told_again(make_scripted):
    bench = make_scripted(1.0, 2.0)
    bench.run()
    told = [{key for key, *_ in report["points"]} for report in bench.reports]
    assert ["val/only_once" in keys for keys in told] == [True, False]


def test_an_objective_that_is_missing_in_one_epoch_is_no_objective_of_the_epoch_before(make_scripted):
    ending = make_scripted(1.0, None, 2.0).run()
    assert ending.failure is Failure.RAISED
    assert "does not log val/score in this epoch" in ending.message


def test_a_metric_whose_name_ends_like_one_of_lightnings_is_kept(make_scripted):
    bench = make_scripted(1.0, log_as="val/per_step")
    bench.experiment = replace(
        bench.experiment, objectives=(replace(bench.experiment.objectives[0], metric="val/per_step"),)
    )
    bench.run()
    assert "val/per_step" in {key for key, *_ in bench.reports[0]["points"]}


@pytest.mark.parametrize("missing", ["limit", "loader"])
def test_a_trial_without_validation_fails_before_it_trains(make_learner, lab, monkeypatch, missing):
    bench = make_learner("blind", epochs=2)
    if missing == "limit":
        bench.trainer = {"limit_val_batches": 0}
    else:
        monkeypatch.delattr(lab.Data, "val_dataloader")
    trained = []
    monkeypatch.setattr(lab.Learner, "training_step", lambda *_: trained.append(1))
    ending = bench.run()
    assert ending.failure is Failure.RAISED
    assert "Nothing is validated" in ending.message
    assert trained == []


def test_numbers_of_numpy_among_the_hyperparameters_survive_a_kill(make_learner):
    extra = {"mean": np.float64(2.5), "units": [np.int64(3)]}
    bench = make_learner("numbers", epochs=3, extra=extra)
    assert bench.run_killed_after(0).failure is None
    assert bench.last_state()["hyper_parameters"]["extra"] == {"mean": 2.5, "units": [3]}


@pytest.mark.parametrize("extra", [np.zeros(3), {"a": object()}], ids=["array", "object"])
def test_hyperparameters_that_no_resume_could_load_fail_the_trial_in_its_first_epoch(make_learner, extra):
    bench = make_learner("unloadable", epochs=3, extra=extra)
    ending = bench.run()
    assert ending.failure is Failure.RAISED
    assert "`extra`" in ending.message
    assert [report["epoch"] for report in bench.reports] == [0]
