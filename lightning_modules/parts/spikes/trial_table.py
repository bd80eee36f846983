"""Sessions built trial by trial, as NWB and PyalData give them: each trial is its own stretch of bins."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.session import Indices


@dataclass(frozen=True)
class TrialSelection:
    """Which trials of a file are used, and why the others are not.

    Args:
        kept: Positions of the used trials in the file, int64.
        note: Sentence that counts the others by reason; empty if there are none.
    """

    kept: Indices
    note: str

    @property
    def notes(self) -> tuple[str, ...]:
        """The note, if there is something to note."""
        return (self.note,) if self.note else ()


def select_trials(reasons: Sequence[str], source: str) -> TrialSelection:
    """Keep the trials without a reason against them.

    Args:
        reasons: For each trial of the file why it is left out; empty for those that are used.
        source: File, for messages.

    Raises:
        DataError: If no trial is left; the message counts the reasons.
    """
    counts = Counter(reason for reason in reasons if reason)
    listed = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    kept = np.array([trial for trial, reason in enumerate(reasons) if not reason], dtype=np.int64)
    if not len(kept):
        raise DataError(
            f"{source}: none of the {len(reasons)} trials can be used ({listed or 'the file holds none'}).",
            "Leave this session out, or check its trial table.",
        )
    if not counts:
        return TrialSelection(kept, "")
    return TrialSelection(kept, f"{source}: {len(kept)} of {len(reasons)} trials used; left out: {listed}.")


def trial_bounds(lengths: Indices) -> tuple[Indices, Indices]:
    """First bin and end of trials that follow each other without gaps."""
    end = np.cumsum(lengths)
    return end - lengths, end
