"""Leave-one-training-day-out: beside a model train copies of it, each without one day, which judge it on that day."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from lightning_modules.parts.spikes.batch import LabelledSpikeBatch, SpikeBatch

FOLDS, ENSEMBLE = "folds", "ensemble"
"""Arguments that `across_days` adds to those of the model."""


class DayFolds(pl.LightningModule):
    """A model trained on all days, and copies of it that were trained without one day each.

    Every copy sees the same batches as the model, less the trials of its own day, and is validated on that day. What
    is logged in validation is the mean over the held-out days, which no copy was trained on; the worst of them for
    the worst session. The model that is kept, and that decodes, was trained on all days for as many steps. It is
    trained exactly as it would be alone: nothing of the copies reaches it.

    Without folds it is the model, validated on the validation trials.

    Args:
        folds: For each day left out, in the order of the sessions, the statistics of the other days: values of
            those of the model's arguments that the data decides.
        ensemble: Whether behaviour is decoded by the mean of the model and its copies.
        arguments: The model's.
    """

    member: ClassVar[type[Any]]
    """The model's class. It has no scheduler and, where its optimization is automatic, one optimizer."""

    def __init__(
        self, *, folds: Sequence[Mapping[str, Any]] = (), ensemble: bool = False, **arguments: Any
    ) -> None:
        super().__init__()
        self.save_hyperparameters({**arguments, FOLDS: [dict(one) for one in folds], ENSEMBLE: ensemble})
        self.ensemble = ensemble
        self.model = _build(self.member, arguments)
        self.copies: list[pl.LightningModule] = []
        with _same_stream(self.device):
            for position, statistics in enumerate(folds):
                copy = _build(self.member, {**arguments, **statistics})
                copy.held_out_session = position
                self.add_module(f"without_{position}", copy)
                self.copies.append(copy)
        self._found: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for position, one in enumerate(self._members):
            one.log = self._collector(position)  # a nested module cannot log by itself
        self.automatic_optimization = self.model.automatic_optimization

    @property
    def origin(self) -> str:
        """Whose the model is, as it says itself, and how it is judged."""
        judged = "; leave-one-training-day-out [inferred]" if self.copies else ""
        return f"{self.model.origin}{judged}"

    @property
    def _members(self) -> tuple[Any, ...]:
        """The model, then its copies."""
        return (self.model, *self.copies)

    def _collector(self, position: int) -> Any:
        def log(name: str, value: Any, **options: Any) -> None:
            self._found[position][name] = torch.as_tensor(value, dtype=torch.float64)

        return log

    def forward(self, spikes: Tensor) -> Any:
        """Return what the model infers of trials (B, T, N); see the model's own `forward`."""
        output = self.model(spikes)
        if not (self.ensemble and self.copies):
            return output
        decoded = [output.behaviour, *(copy(spikes).behaviour for copy in self.copies)]
        return output._replace(behaviour=torch.stack(decoded).mean(dim=0))

    def training_step(self, batch: SpikeBatch | LabelledSpikeBatch, batch_idx: int) -> Tensor | None:
        """Return the sum of the losses: they share no parameter, so each has the gradient that it has alone.

        None of models that step their optimizers themselves.
        """
        losses = [self.model.training_step(_given(self.model, batch), batch_idx)]
        with _same_stream(self.device):
            for position, copy in enumerate(self.copies):
                assert isinstance(batch, LabelledSpikeBatch)
                others = batch.session != position
                if others.any():
                    losses.append(copy.training_step(_given(copy, _select(batch, others)), batch_idx))
                else:  # every parameter needs a gradient where several workers train
                    losses.append(0.0 * torch.stack([one.sum() for one in copy.parameters()]).sum())
        return torch.stack(losses).sum() if self.automatic_optimization else None

    def on_train_epoch_start(self) -> None:
        """Tell the model and its copies."""
        for one in self._members:
            one.on_train_epoch_start()

    def on_train_epoch_end(self) -> None:
        """Log what the model logs of its training."""
        self._found.clear()
        for one in self._members:
            one.on_train_epoch_end()
        self.log_dict(self._found[0])

    def on_validation_epoch_start(self) -> None:
        """Tell the model and its copies."""
        for one in self._members:
            one.on_validation_epoch_start()

    def validation_step(self, batch: LabelledSpikeBatch, batch_idx: int) -> None:
        """Let each copy decode the trials of its own day, or the model all of them where it has no copies."""
        if not self.copies:
            self.model.validation_step(batch, batch_idx)
        for position, copy in enumerate(self.copies):
            ours = batch.session == position
            if ours.any():
                copy.validation_step(_select(batch, ours), batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the mean over the held-out days of every score, and the worst day."""
        self._found.clear()
        judges = self.copies or [self.model]
        for one in judges:
            one.on_validation_epoch_end()
        scores = [self._found[position] for position in (range(1, len(judges) + 1) if self.copies else [0])]
        logged = {name: torch.stack([one[name] for one in scores]).mean() for name in scores[0]}
        if self.copies:
            days = [one["val/behaviour_r2"] for one in scores]
            logged["val/behaviour_r2_worst_session"] = torch.stack(days).min()
            logged |= {f"val/behaviour_r2_without_{one}": value for one, value in enumerate(days)}
        self.log_dict(logged)

    def configure_optimizers(self) -> Any:
        """Return the optimizers of the model and its copies.

        Lightning steps one optimizer by itself: of automatic models it is the model's, with the parameters of the
        copies in groups of their own. Others step theirs, of which each is given its own.
        """
        theirs: list[Any] = [one.configure_optimizers() for one in self._members]
        if self.automatic_optimization:
            for optimizer in theirs[1:]:
                for group in optimizer.param_groups:
                    theirs[0].add_param_group(group)
            return theirs[0]
        for position, one in enumerate(self._members):
            setattr(one, "optimizers", self._optimizers_of(position, len(theirs[0])))  # noqa: B010
        return [optimizer for each in theirs for optimizer in each]

    def _optimizers_of(self, position: int, number: int) -> Callable[[], Any]:
        return lambda: self.optimizers()[position * number : (position + 1) * number]  # type: ignore[index]

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient of the model and of each copy as if it were alone."""
        if not gradient_clip_val:
            return
        clip = clip_grad_value_ if gradient_clip_algorithm == "value" else clip_grad_norm_
        for one in self._members:
            clip(one.parameters(), gradient_clip_val)


def across_days(member: type[pl.LightningModule], *, name: str, module: str) -> type[DayFolds]:
    """Make the class that trains a model with its copies; it takes the model's arguments.

    Args:
        member: The model's class.
        name: Name of the class that is made.
        module: Module that holds it under this name.
    """
    ours = inspect.signature(DayFolds.__init__).parameters
    theirs = inspect.signature(member.__init__)
    parameters = [*theirs.parameters.values(), ours[FOLDS], ours[ENSEMBLE]]

    def __init__(self: DayFolds, **arguments: Any) -> None:
        DayFolds.__init__(self, **arguments)

    __init__.__signature__ = theirs.replace(parameters=parameters)  # type: ignore[attr-defined]
    __init__.__annotations__ = {
        **member.__init__.__annotations__,
        **{one: DayFolds.__init__.__annotations__[one] for one in (FOLDS, ENSEMBLE)},
    }
    return type(
        name,
        (DayFolds,),
        {"__init__": __init__, "member": member, "__module__": module, "__doc__": DayFolds.__doc__},
    )


def _build(member: type[pl.LightningModule], arguments: Mapping[str, Any]) -> Any:
    """Build a model outside of any constructor: Lightning takes the arguments of those around it for its own."""
    return member(**arguments)


def _given(model: Any, batch: SpikeBatch | LabelledSpikeBatch) -> SpikeBatch | LabelledSpikeBatch:
    """The batch as the model may see it: without labels, unless it is one that is taught the sessions."""
    return batch if getattr(model, "sees_sessions", False) else SpikeBatch(batch.spikes, batch.behaviour)


def _select(batch: LabelledSpikeBatch, trials: Tensor) -> LabelledSpikeBatch:
    return LabelledSpikeBatch(*(part[trials] for part in batch))


@contextmanager
def _same_stream(device: torch.device) -> Iterator[None]:
    """Leave the random numbers of the model as they would be without copies."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
