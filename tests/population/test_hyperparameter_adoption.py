"""What an optimizer and its scheduler do after their state was copied and their hyperparameters changed."""

from types import SimpleNamespace

import pytest
import torch

from neurosweep.trials.adoption import adopt_settings, fresh_settings


def trainer_of(optimizer, scheduler=None):
    configs = [] if scheduler is None else [SimpleNamespace(scheduler=scheduler)]
    return SimpleNamespace(optimizers=[optimizer], lr_scheduler_configs=configs)


def copied(build, old, new, *, steps):
    """Train with `old` settings for some steps, then load the state into what `new` settings build, and adopt."""
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer, scheduler = build([parameter], **old)
    rates = fresh_settings(trainer_of(optimizer, scheduler)).rates
    for _ in range(steps):
        step(parameter, optimizer, scheduler)
    target = torch.nn.Parameter(parameter.detach().clone())
    copy, its_scheduler = build([target], **new)
    trainer = trainer_of(copy, its_scheduler)
    fresh = fresh_settings(trainer)
    copy.load_state_dict(optimizer.state_dict())
    if scheduler is not None:
        its_scheduler.load_state_dict(scheduler.state_dict())
    adopt_settings(trainer, fresh, rates=rates)
    return target, copy, its_scheduler


def step(parameter, optimizer, scheduler=None):
    optimizer.zero_grad()
    parameter.square().sum().backward()
    optimizer.step()
    if scheduler is not None:
        scheduler.step()


def test_adam_steps_with_the_new_rate_and_decay_on_the_old_moments():
    """Against Adam's update written out by hand (Kingma & Ba 2015, Algorithm 1; decay added to the gradient)."""

    def build(parameters, lr, weight_decay):
        return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay), None

    old, new = {"lr": 0.1, "weight_decay": 0.0}, {"lr": 0.01, "weight_decay": 0.5}
    target, optimizer, _ = copied(build, old, new, steps=3)
    weight, first, second = 1.0, 0.0, 0.0
    for count in range(1, 5):
        settings = old if count <= 3 else new
        gradient = 2 * weight + settings["weight_decay"] * weight
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = first / (1 - 0.9**count), second / (1 - 0.999**count)
        weight -= settings["lr"] * corrected[0] / (corrected[1] ** 0.5 + 1e-8)
    step(target, optimizer)
    assert target.tolist() == pytest.approx([weight] * 3, rel=1e-5)


SCHEDULES = {
    "exponential": lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5),
    "step": lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1),
    "cosine": lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10),
    "lambda": lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch)),
    "one cycle": lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=optimizer.param_groups[0]["lr"], total_steps=20, cycle_momentum=False
    ),
    "sequence": lambda optimizer: torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=3),
            torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5),
        ],
        milestones=[5],
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_goes_on_at_its_place_with_the_new_rate(name):
    """The truth is the same schedule, run with the new rate from its beginning."""

    def build(parameters, lr):
        optimizer = torch.optim.SGD(parameters, lr=lr)
        return optimizer, SCHEDULES[name](optimizer)

    target, optimizer, scheduler = copied(build, {"lr": 0.1}, {"lr": 0.03}, steps=4)
    truth, undisturbed = build([torch.nn.Parameter(torch.ones(3))], 0.03)
    for _ in range(4):
        truth.step()
        undisturbed.step()
    for _ in range(6):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(truth.param_groups[0]["lr"], rel=1e-6)
        assert scheduler.get_last_lr() == pytest.approx(undisturbed.get_last_lr(), rel=1e-6)
        step(target, optimizer, scheduler)
        truth.step()
        undisturbed.step()


def test_setting_of_a_schedule_becomes_the_new_one():
    def build(parameters, gamma):
        optimizer = torch.optim.SGD(parameters, lr=1.0)
        return optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=gamma)

    target, optimizer, scheduler = copied(build, {"gamma": 0.5}, {"gamma": 0.1}, steps=3)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5**3)
    step(target, optimizer, scheduler)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5**3 * 0.1)


def test_plateau_keeps_its_reductions_and_its_best():
    def build(parameters, lr):
        optimizer = torch.optim.SGD(parameters, lr=lr)
        return optimizer, torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=0)

    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer, scheduler = build([parameter], 0.1)
    rates = fresh_settings(trainer_of(optimizer, scheduler)).rates
    for value in (1.0, 2.0):
        scheduler.step(value)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    copy, its = build([parameter], 0.5)
    trainer = trainer_of(copy, its)
    fresh = fresh_settings(trainer)
    copy.load_state_dict(optimizer.state_dict())
    its.load_state_dict(scheduler.state_dict())
    adopt_settings(trainer, fresh, rates=rates)
    assert its.best == 1.0
    assert copy.param_groups[0]["lr"] == pytest.approx(0.05)
