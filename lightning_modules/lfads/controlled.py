"""The loop of a generator and its controller over the bins of a trial, with the gradient written out.

Each bin needs the bin before: a controller reads the factors, a generator the controller's input. What it
costs is the calling of operations: here both passes call some forty a bin, and no graph is recorded.

Shapes:
    T time bins, B trials, H units of the generator, C of the controller, U inferred inputs, F factors.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_modules.parts.gates import gate_derivatives
from lightning_modules.parts.gaussian import LOWEST_VARIANCE


class LoopWeights(NamedTuple):
    """Weights of the loop.

    Args:
        feedback: From factors to the controller's gates, (3C, F).
        controller: Of the controller's state, (3C, C).
        controller_bias: (3C,).
        head: From the controller's state to mean and raw log-variance of the inputs, (2U, C).
        head_bias: (2U,).
        inputs: From inputs to the generator's gates, (3H, U).
        input_bias: (3H,).
        generator: Of the generator's state, (3H, H).
        generator_bias: (3H,).
        factors: From the generator's state to factors, (F, H).
    """

    feedback: Tensor
    controller: Tensor
    controller_bias: Tensor
    head: Tensor
    head_bias: Tensor
    inputs: Tensor
    input_bias: Tensor
    generator: Tensor
    generator_bias: Tensor
    factors: Tensor


class LoopNoise(NamedTuple):
    """What is random in the loop; ones and zeros where nothing is.

    Args:
        state_masks: Dropout of the generator's states before the factors are read, scaled, (T + 1, B, H); the first
            is of the initial state.
        factor_masks: Dropout of the factors that the controller reads, scaled, (T, B, F).
        inputs: Standard normal, (T, B, U).
    """

    state_masks: Tensor
    factor_masks: Tensor
    inputs: Tensor


class LoopOutput(NamedTuple):
    """What the loop gives.

    Args:
        factors: (T, B, F).
        mean: Of the inputs' posterior, (T, B, U).
        log_variance: (T, B, U).
        inputs: Drawn, (T, B, U).
    """

    factors: Tensor
    mean: Tensor
    log_variance: Tensor
    inputs: Tensor


def run_loop(
    shares: Tensor, state: Tensor, controller_state: Tensor, weights: LoopWeights, noise: LoopNoise
) -> LoopOutput:
    """Run generator and controller over all bins; GRUs in torch's form.

    Args:
        shares: The encoding's share of the controller's gates with the input bias, (T, B, 3C).
        state: Initial state of the generator, (B, H).
        controller_state: Initial state of the controller, (B, C).
        weights: Of both and of what is between them.
        noise: No gradient goes there.
    """
    return LoopOutput(*_Loop.apply(shares, state, controller_state, *weights, *noise))


class _Loop(torch.autograd.Function):
    """A bin: controller from fed-back factors, posterior, input, generator, factors."""

    @staticmethod
    def forward(
        ctx: Any, shares: Tensor, state: Tensor, controller_state: Tensor, *others: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what `LoopOutput` names; arguments of `run_loop`, the tuples spread out."""
        weights = LoopWeights(*others[: len(LoopWeights._fields)])
        noise = LoopNoise(*others[len(weights) :])
        n_bins, n_trials, _ = shares.shape
        size = state.shape[1]
        n_inputs, n_factors = noise.inputs.shape[2], len(weights.factors)

        def empty(width: int, bins: int = n_bins) -> Tensor:
            return shares.new_empty(bins, n_trials, width)

        control = _Trace(shares.clone(), controller_state)
        generator = _Trace(empty(3 * size), state)
        posterior, variance, inputs = empty(2 * n_inputs), empty(n_inputs), empty(n_inputs)
        factors, masked, fed = empty(n_factors, n_bins + 1), empty(size, n_bins + 1), empty(n_factors)
        turned = LoopWeights(*(one.t() if one.dim() == 2 else one for one in weights))
        torch.mul(state, noise.state_masks[0], out=masked[0])
        torch.mm(masked[0], turned.factors, out=factors[0])
        state_masks, factor_masks, drawn = (one.unbind() for one in noise)
        head, mean, raw_variance = (
            one.unbind() for one in (posterior, posterior[..., :n_inputs], posterior[..., n_inputs:])
        )
        spread, given, read, dropped, factor = (
            one.unbind() for one in (variance, inputs, fed, masked, factors)
        )
        for time in range(n_bins):
            torch.mul(factor[time], factor_masks[time], out=read[time])
            control.share[time].addmm_(read[time], turned.feedback)
            control.step(time, turned.controller, weights.controller_bias)
            torch.addmm(weights.head_bias, control.state[time + 1], turned.head, out=head[time])
            torch.exp(raw_variance[time], out=spread[time]).add_(LOWEST_VARIANCE)
            torch.addcmul(mean[time], spread[time].sqrt(), drawn[time], out=given[time])
            torch.addmm(weights.input_bias, given[time], turned.inputs, out=generator.share[time])
            generator.step(time, turned.generator, weights.generator_bias)
            torch.mul(generator.state[time + 1], state_masks[time + 1], out=dropped[time + 1])
            torch.mm(dropped[time + 1], turned.factors, out=factor[time + 1])
        ctx.save_for_backward(*control.kept, *generator.kept, variance, inputs, masked, fed, *weights, *noise)
        return factors[1:], posterior[..., :n_inputs], variance.log(), inputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Return the gradients of all arguments; None of the noise."""
        saved = ctx.saved_tensors
        control, generator = (_Derivatives(*saved[start : start + 3]) for start in (0, 3))
        variance, inputs, masked, fed = saved[6:10]
        weights, noise = LoopWeights(*saved[10:20]), LoopNoise(*saved[20:])
        grad_factors, grad_mean, grad_log_variance, grad_inputs = grads
        n_inputs = inputs.shape[2]
        exponential = variance - LOWEST_VARIANCE
        # Of the raw log-variance: through the posterior that is returned, and through the drawn input.
        from_draw = noise.inputs * 0.5 * exponential / variance.sqrt()
        head = torch.cat([grad_mean, grad_log_variance * exponential / variance], dim=-1)
        factors = torch.cat([torch.zeros_like(grad_factors[:1]), grad_factors])
        state_masks, factor_masks, _ = (one.unbind() for one in noise)
        factor, to_draw, row = factors.unbind(), from_draw.unbind(), head.unbind()
        to_mean, to_raw_variance = head[..., :n_inputs].unbind(), head[..., n_inputs:].unbind()
        to_input = grad_inputs.unbind()
        for time in reversed(range(len(inputs))):
            generator.grad[time + 1].addcmul_(factor[time + 1] @ weights.factors, state_masks[time + 1])
            generator.step(time, weights.generator)
            both = torch.addmm(to_input[time], generator.share_grad[time], weights.inputs)
            to_mean[time].add_(both)
            to_raw_variance[time].addcmul_(both, to_draw[time])
            control.grad[time + 1].addmm_(row[time], weights.head)
            control.step(time, weights.controller)
            factor[time].addcmul_(control.share_grad[time] @ weights.feedback, factor_masks[time])
        initial = generator.grad[0].addcmul(factors[0] @ weights.factors, noise.state_masks[0])
        return (
            control.share_grads,
            initial,
            control.grad[0],
            *(_outer(control.share_grads, fed), *control.weight_grads()),
            *(_outer(head, control.states[1:]), _rows(head).sum(dim=0)),
            *(_outer(generator.share_grads, inputs), _rows(generator.share_grads).sum(dim=0)),
            *generator.weight_grads(),
            _outer(factors, masked),
            *(None for _ in noise),
        )


class _Trace:
    """What a GRU goes through, bin by bin: shares and gates (T, B, 3n), candidates (T, B, n), states (T + 1, B, n).

    Views of the bins are made at once: made in the loop, they cost a part of its time that can be measured.
    """

    def __init__(self, shares: Tensor, initial: Tensor) -> None:
        n_bins, size = len(shares), initial.shape[1]
        gates = torch.empty_like(shares)
        candidates = shares.new_empty(n_bins, *initial.shape)
        states = shares.new_empty(n_bins + 1, *initial.shape)
        states[0] = initial
        self.kept = gates, candidates, states
        self.share, self.state = shares.unbind(), states.unbind()
        self._gate, self._candidate = gates.unbind(), candidates.unbind()
        self._first_two = gates[..., : 2 * size].unbind(), shares[..., : 2 * size].unbind()
        self._parts = [one.unbind() for one in (*gates.split(size, dim=-1), shares[..., 2 * size :])]

    def step(self, time: int, turned: Tensor, bias: Tensor) -> None:
        """Fill in a bin: gates in the order reset, update, candidate; the product alone in the last."""
        before, candidate = self.state[time], self._candidate[time]
        torch.addmm(bias, before, turned, out=self._gate[time])
        gates, shares = self._first_two
        gates[time].add_(shares[time]).sigmoid_()
        reset, update, product, share = (one[time] for one in self._parts)
        torch.addcmul(share, reset, product, out=candidate).tanh_()
        torch.lerp(candidate, before, update, out=self.state[time + 1])


class _Derivatives:
    """How gradients go back through a GRU, bin by bin: of its states (T + 1, B, n), and of its shares (T, B, 3n)."""

    def __init__(self, gates: Tensor, candidates: Tensor, states: Tensor) -> None:
        size = candidates.shape[2]
        self._to_gates, to_candidate, update = gate_derivatives(gates, candidates, states[:-1])
        self.states = states
        self.share_grads = torch.empty_like(gates)
        self.grad, self.share_grad = torch.zeros_like(states).unbind(), self.share_grads.unbind()
        rows = self._to_gates.flatten(2)
        self._gate, self._row = self._to_gates.unbind(), rows.unbind()
        self._copied = rows[..., : 2 * size].unbind(), self.share_grads[..., : 2 * size].unbind()
        self._last = self.share_grads[..., 2 * size :].unbind()
        self._to_candidate, self._update = to_candidate.unbind(), update.unbind()

    def step(self, time: int, weight: Tensor) -> None:
        """Take the gradient of a bin's new state to its gates, its share and the state before."""
        grad = self.grad[time + 1]
        self._gate[time].mul_(grad.unsqueeze(1))
        gates, shares = self._copied
        shares[time].copy_(gates[time])
        torch.mul(grad, self._to_candidate[time], out=self._last[time])
        self.grad[time].addcmul_(grad, self._update[time]).addmm_(self._row[time], weight)

    def weight_grads(self) -> tuple[Tensor, Tensor]:
        """Gradients of the recurrent weight and of its bias."""
        rows = self._to_gates.flatten(2)
        return _outer(rows, self.states[:-1]), _rows(rows).sum(dim=0)


def _rows(grads: Tensor) -> Tensor:
    return grads.reshape(-1, grads.shape[-1])


def _outer(grads: Tensor, values: Tensor) -> Tensor:
    """Sum over bins and trials of gradients (T, B, n) times values (T, B, m), (n, m)."""
    return _rows(grads).t() @ _rows(values)
