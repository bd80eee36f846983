"""SABLE with its leave-one-training-day-out validation."""

from lightning_modules.parts.decoding.day_folds import across_days
from lightning_modules.sable.module import Sable

SableAcrossDays = across_days(Sable, name="SableAcrossDays", module=__name__)
"""Takes the arguments of `Sable`, and those of `DayFolds`."""
