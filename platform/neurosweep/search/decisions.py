"""After which epochs a pruner may end a trial: known to the workers too, and without Optuna."""

from neurosweep.config import SearchConfig


def decision_epochs(search: SearchConfig, *, max_epochs: int) -> tuple[int, ...]:
    """Return the numbers of finished epochs after which the pruner may end a trial, in order.

    Only there does the pruner's answer matter, so a worker must wait for it there and nowhere else. Successive
    halving and Hyperband decide at their rungs, Optuna's `min_resource * reduction_factor ** rung`.

    Args:
        search: Names the pruner.
        max_epochs: Epochs of a full trial; the last one ends by itself.
    """
    match search.pruner:
        case "none":
            return ()
        case "successive_halving" | "hyperband":
            rungs, epochs = [], search.min_epochs
            while epochs < max_epochs:
                rungs.append(epochs)
                epochs *= search.reduction_factor
            return tuple(rungs)
        case _:
            return tuple(range(1, max_epochs))
