"""Record real learning curves: 1,500 configurations of a small network on two problems, into `curves.npz`.

All configurations of a problem are trained side by side, as one batch of matrices, so that recording takes minutes.
The seeds are fixed: on machines of one kind, the same curves come out to the last bit.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

CURVES = Path(__file__).with_name("curves.npz")
CONFIGURATIONS, EPOCHS, BATCH, WIDEST = 1500, 27, 50, 64
BOUNDS = {
    "learning_rate": (1e-3, 3.0),
    "momentum": (0.0, 0.99),
    "weight_decay": (1e-6, 1e-1),
    "width": (3, WIDEST),
    "initial_scale": (0.05, 5.0),
}
LOGARITHMIC = ("learning_rate", "weight_decay", "width", "initial_scale")
WORST = 2.0
"""Loss of a network that has diverged; that of guessing is 0.9 for digits and 1 for velocities."""


@dataclass(frozen=True)
class Problem:
    """Inputs (rows, features) and targets (rows, outputs), the first `training` rows for training."""

    inputs: torch.Tensor
    targets: torch.Tensor
    training: int
    classes: bool


def digits() -> Problem:
    """Handwritten digits of scikit-learn (1,797 of 8 x 8 pixels); the loss is the share of wrong answers."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    inputs = torch.tensor(images[order] / 16 - 0.3, dtype=torch.float32)
    return Problem(inputs, torch.nn.functional.one_hot(torch.tensor(labels[order]), 10).float(), 600, True)


def velocities() -> Problem:
    """Hand velocity from 60 simulated units (cosine tuning, Poisson counts); the loss is 1 - R²."""
    generator = np.random.default_rng(1)
    angle = np.cumsum(generator.normal(scale=0.3, size=1600))
    speed = np.abs(np.cumsum(generator.normal(scale=0.2, size=1600))) % 2
    velocity = np.stack([speed * np.cos(angle), speed * np.sin(angle)], axis=1)
    preferred = generator.uniform(0, 2 * np.pi, 60)
    drive = np.cos(angle[:, None] - preferred) * speed[:, None] * generator.uniform(0.2, 1.0, 60)
    counts = generator.poisson(np.exp(drive + generator.normal(-0.5, 0.5, 60)))
    inputs = torch.tensor(np.sqrt(counts) - np.sqrt(counts).mean(axis=0), dtype=torch.float32)
    targets = torch.tensor((velocity - velocity.mean(axis=0)) / velocity.std(axis=0), dtype=torch.float32)
    order = torch.tensor(generator.permutation(len(inputs)))
    return Problem(inputs[order], targets[order], 800, False)


def draw(generator: np.random.Generator) -> np.ndarray:
    """Draw configurations, (configurations, parameters) in the order of `BOUNDS`."""
    columns = []
    for name, (low, high) in BOUNDS.items():
        if name in LOGARITHMIC:
            columns.append(np.exp(generator.uniform(np.log(low), np.log(high), CONFIGURATIONS)))
        else:
            columns.append(generator.uniform(low, high, CONFIGURATIONS))
    return np.stack(columns, axis=1)


def train(problem: Problem, drawn: np.ndarray) -> np.ndarray:
    """Train every configuration; return its validation loss after each epoch, (configurations, epochs)."""
    torch.manual_seed(0)
    rate, momentum, decay, width, scale = (
        torch.tensor(column, dtype=torch.float32)[:, None, None] for column in drawn.T
    )
    alive = (torch.arange(WIDEST) < width.round()).float()  # (configurations, 1, widest)
    features, outputs = problem.inputs.shape[1], problem.targets.shape[1]
    weights = [
        torch.randn(CONFIGURATIONS, features, WIDEST) * scale / features**0.5,
        torch.randn(CONFIGURATIONS, WIDEST, outputs) * scale / width.sqrt(),
        torch.zeros(CONFIGURATIONS, 1, outputs),
    ]
    speed = [torch.zeros_like(one) for one in weights]
    curves = []
    for _ in range(EPOCHS):
        for rows in torch.randperm(problem.training).split(BATCH):
            for one in weights:
                one.requires_grad_(True)
            error = _predict(weights, alive, problem.inputs[rows])
            target = problem.targets[rows]
            if problem.classes:
                loss = -(error.log_softmax(-1) * target).sum(-1).mean(-1)
            else:
                loss = (error - target).square().mean((-1, -2))
            gradients = torch.autograd.grad(loss.sum(), weights)
            with torch.no_grad():
                for index, gradient in enumerate(gradients):
                    speed[index] = momentum * speed[index] + gradient + decay * weights[index]
                    weights[index] = weights[index] - rate * speed[index]
        curves.append(_validate(problem, weights, alive))
    return np.nan_to_num(np.stack(curves, axis=1), nan=WORST, posinf=WORST).clip(max=WORST)


def _predict(weights: list[torch.Tensor], alive: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    hidden = torch.tanh(torch.einsum("rf,cfh->crh", inputs, weights[0])) * alive
    return hidden @ weights[1] + weights[2]


@torch.no_grad()
def _validate(problem: Problem, weights: list[torch.Tensor], alive: torch.Tensor) -> np.ndarray:
    inputs, targets = problem.inputs[problem.training :], problem.targets[problem.training :]
    predicted = _predict(weights, alive, inputs)
    if problem.classes:
        wrong = predicted.argmax(-1) != targets.argmax(-1)
        finite = predicted.isfinite().all(-1).all(-1)
        return torch.where(finite, wrong.float().mean(-1), WORST).numpy()
    residual = (predicted - targets).square().mean(1)
    return (residual / targets.var(0, correction=0)).mean(-1).numpy()


def record() -> None:
    """Record both problems."""
    torch.set_num_threads(1)
    content = {}
    for seed, (name, problem) in enumerate({"digits": digits(), "velocities": velocities()}.items()):
        drawn = draw(np.random.default_rng(seed))
        content[f"{name}_parameters"] = drawn.astype("float32")
        content[f"{name}_losses"] = train(problem, drawn).astype("float16")
        best = content[f"{name}_losses"].min(axis=1)
        print(name, "best, 1 %, median:", np.quantile(best, [0, 0.01, 0.5]))
    np.savez_compressed(CURVES, **content)


if __name__ == "__main__":
    record()
