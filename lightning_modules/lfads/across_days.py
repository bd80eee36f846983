"""LFADS with the leave-one-training-day-out validation."""

from lightning_modules.lfads.module import Lfads
from lightning_modules.parts.decoding.day_folds import across_days

LfadsAcrossDays = across_days(Lfads, name="LfadsAcrossDays", module=__name__)
"""Takes the arguments of `Lfads`, and those of `DayFolds`."""
