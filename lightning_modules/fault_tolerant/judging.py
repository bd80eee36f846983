"""How often a code errs on a circuit's truth table, and what is logged of it; the same for whatever is judged."""

import math

import torch

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes.protocol import Code
from lightning_modules.fault_tolerant.data import TruthTable
from lightning_modules.fault_tolerant.estimates.error_estimate import InputErrors, over_inputs
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.resources import Resources


def count_errors(code: Code, circuit: Circuit, table: TruthTable, device: torch.device) -> InputErrors:
    """Compute a truth table with fresh noise, and count for each row the evaluations with any wrong output.

    Raises:
        DataError: If the code cannot carry the circuit, model the noise, or takes too much memory.
    """
    generator = torch.Generator(device).manual_seed(table.seed)
    rows, truth = table.rows.cpu().numpy(), table.truth.cpu().numpy()
    found = code.simulate(circuit, NoiseSpec(**table.noise), rows, table.n_trials, generator)
    wrong = (found != truth).any(axis=2).sum(axis=0)
    return over_inputs([int(one) for one in wrong], table.n_trials)


def metrics_of(errors: InputErrors, cost: Resources) -> dict[str, float]:
    """Return what is logged of a code, by name.

    `log10_error` is that of the upper end of the worst input's interval, and `log10_mean_error` of that of the mean:
    where no error was seen they are bounds.
    """
    worst = errors.worst
    return {
        "log10_error": math.log10(worst.high),
        "worst_error": worst.estimate,
        "worst_error_low": worst.low,
        "worst_error_high": worst.high,
        "mean_error": errors.mean.estimate,
        "log10_mean_error": math.log10(errors.mean.high),
        "is_bound": float(worst.is_bound),
        "neurons": float(cost.neurons),
        "log10_neurons": math.log10(cost.neurons),
        "synapses": float(cost.synapses),
        "log10_synapses": math.log10(cost.synapses),
        "depth": float(cost.depth),
    }
