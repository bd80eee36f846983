"""The loop of a generator and its controller over the bins of a trial, with the gradient written out.

Each bin needs the bin before: a controller reads the factors, a generator the controller's input. Automatic
differentiation of that loop calls some sixty operations a bin; written out, both passes together take thirty.

Shapes:
    T time bins, B trials, H units of the generator, C of the controller, U inferred inputs, F factors.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_modules.parts.gaussian import LOWEST_VARIANCE
from lightning_modules.parts.recurrence import gate_derivatives


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
        size, n_hidden = state.shape[1], controller_state.shape[1]
        n_inputs, n_factors = noise.inputs.shape[2], len(weights.factors)

        def empty(width: int, bins: int = n_bins) -> Tensor:
            return shares.new_empty(bins, n_trials, width)

        control = _Trace(shares.clone(), empty(3 * n_hidden), empty(n_hidden), empty(n_hidden, n_bins + 1))
        generator = _Trace(empty(3 * size), empty(3 * size), empty(size), empty(size, n_bins + 1))
        control.states[0], generator.states[0] = controller_state, state
        posterior, variance, inputs = empty(2 * n_inputs), empty(n_inputs), empty(n_inputs)
        factors, masked, fed = empty(n_factors, n_bins + 1), empty(size, n_bins + 1), empty(n_factors)
        turned = LoopWeights(*(one.t() if one.dim() == 2 else one for one in weights))
        torch.mul(state, noise.state_masks[0], out=masked[0])
        torch.mm(masked[0], turned.factors, out=factors[0])
        for time in range(n_bins):
            torch.mul(factors[time], noise.factor_masks[time], out=fed[time])
            control.shares[time].addmm_(fed[time], turned.feedback)
            control.step(time, turned.controller, weights.controller_bias)
            torch.addmm(weights.head_bias, control.states[time + 1], turned.head, out=posterior[time])
            torch.exp(posterior[time, :, n_inputs:], out=variance[time]).add_(LOWEST_VARIANCE)
            torch.addcmul(
                posterior[time, :, :n_inputs], variance[time].sqrt(), noise.inputs[time], out=inputs[time]
            )
            torch.addmm(weights.input_bias, inputs[time], turned.inputs, out=generator.shares[time])
            generator.step(time, turned.generator, weights.generator_bias)
            torch.mul(generator.states[time + 1], noise.state_masks[time + 1], out=masked[time + 1])
            torch.mm(masked[time + 1], turned.factors, out=factors[time + 1])
        ctx.save_for_backward(*control[1:], *generator[1:], variance, inputs, masked, fed, *weights, *noise)
        return factors[1:], posterior[..., :n_inputs], variance.log(), inputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Return the gradients of all arguments; None of the noise."""
        saved = ctx.saved_tensors
        control, generator = (_Derivatives.of(*saved[start : start + 3]) for start in (0, 3))
        variance, inputs, masked, fed = saved[6:10]
        weights, noise = LoopWeights(*saved[10:20]), LoopNoise(*saved[20:])
        grad_factors, grad_mean, grad_log_variance, grad_inputs = grads
        n_inputs = inputs.shape[2]
        exponential = variance - LOWEST_VARIANCE
        # Of the raw log-variance: through the posterior that is returned, and through the drawn input.
        from_draw = noise.inputs * 0.5 * exponential / variance.sqrt()
        head = torch.cat([grad_mean, grad_log_variance * exponential / variance], dim=-1)
        factors = torch.cat([torch.zeros_like(grad_factors[:1]), grad_factors])
        for time in reversed(range(len(inputs))):
            generator.grads[time + 1].addcmul_(
                factors[time + 1] @ weights.factors, noise.state_masks[time + 1]
            )
            generator.step(time, weights.generator)
            to_input = torch.addmm(grad_inputs[time], generator.share_grads[time], weights.inputs)
            head[time, :, :n_inputs].add_(to_input)
            head[time, :, n_inputs:].addcmul_(to_input, from_draw[time])
            control.grads[time + 1].addmm_(head[time], weights.head)
            control.step(time, weights.controller)
            factors[time].addcmul_(control.share_grads[time] @ weights.feedback, noise.factor_masks[time])
        initial = generator.grads[0].addcmul(factors[0] @ weights.factors, noise.state_masks[0])
        return (
            control.share_grads,
            initial,
            control.grads[0],
            *(_outer(control.share_grads, fed), *control.weight_grads()),
            *(_outer(head, control.states[1:]), _rows(head).sum(dim=0)),
            *(_outer(generator.share_grads, inputs), _rows(generator.share_grads).sum(dim=0)),
            *generator.weight_grads(),
            _outer(factors, masked),
            *(None for _ in noise),
        )


class _Trace(NamedTuple):
    """What a GRU goes through, bin by bin: shares and gates (T, B, 3n), candidates (T, B, n), states (T + 1, B, n)."""

    shares: Tensor
    gates: Tensor
    candidates: Tensor
    states: Tensor

    def step(self, time: int, turned: Tensor, bias: Tensor) -> None:
        """Fill in a bin: gates in the order reset, update, candidate; the product alone in the last."""
        gate, share, candidate = self.gates[time], self.shares[time], self.candidates[time]
        size = candidate.shape[1]
        torch.addmm(bias, self.states[time], turned, out=gate)
        gate[:, : 2 * size].add_(share[:, : 2 * size]).sigmoid_()
        reset, update, product = gate.split(size, dim=1)
        torch.addcmul(share[:, 2 * size :], reset, product, out=candidate).tanh_()
        torch.lerp(candidate, self.states[time], update, out=self.states[time + 1])


class _Derivatives(NamedTuple):
    """How gradients go back through a GRU; `grads` are of the states (T + 1, B, n), `to_gates` (T, B, 3, n)."""

    states: Tensor
    to_gates: Tensor
    to_candidate: Tensor
    update: Tensor
    grads: Tensor
    share_grads: Tensor

    @classmethod
    def of(cls, gates: Tensor, candidates: Tensor, states: Tensor) -> "_Derivatives":
        to_gates, to_candidate, update = gate_derivatives(gates, candidates, states[:-1])
        return cls(states, to_gates, to_candidate, update, torch.zeros_like(states), torch.empty_like(gates))

    def step(self, time: int, weight: Tensor) -> None:
        """Take the gradient of a bin's new state to its gates, its share and the state before."""
        grad, gate = self.grads[time + 1], self.to_gates[time]
        size = grad.shape[1]
        row = gate.mul_(grad.unsqueeze(1)).flatten(1)
        self.share_grads[time, :, : 2 * size] = row[:, : 2 * size]
        torch.mul(grad, self.to_candidate[time], out=self.share_grads[time, :, 2 * size :])
        self.grads[time].addcmul_(grad, self.update[time]).addmm_(row, weight)

    def weight_grads(self) -> tuple[Tensor, Tensor]:
        """Gradients of the recurrent weight and of its bias."""
        rows = self.to_gates.flatten(2)
        return _outer(rows, self.states[:-1]), _rows(rows).sum(dim=0)


def _rows(grads: Tensor) -> Tensor:
    return grads.reshape(-1, grads.shape[-1])


def _outer(grads: Tensor, values: Tensor) -> Tensor:
    """Sum over bins and trials of gradients (T, B, n) times values (T, B, m), (n, m)."""
    return _rows(grads).t() @ _rows(values)
