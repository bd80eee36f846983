"""RAVE and RAVE+ with the leave-one-training-day-out validation."""

from lightning_modules.parts.decoding.day_folds import across_days
from lightning_modules.rave.module import Rave

RaveAcrossDays = across_days(Rave, name="RaveAcrossDays", module=__name__)
"""Takes the arguments of `Rave`, and those of `DayFolds`."""
