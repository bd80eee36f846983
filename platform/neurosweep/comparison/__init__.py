"""What a sweep found: the leaderboard, Optuna's figures and a report that needs nothing but a browser."""

from neurosweep.comparison.cost import SweepCost, sweep_cost
from neurosweep.comparison.figures import write_figures
from neurosweep.comparison.leaderboard import leaderboard, leaderboard_table, write_csv
from neurosweep.comparison.ranking import best_record, best_seen
from neurosweep.comparison.report import ReportContext, write_report

__all__ = [
    "ReportContext",
    "SweepCost",
    "best_record",
    "best_seen",
    "leaderboard",
    "leaderboard_table",
    "sweep_cost",
    "write_csv",
    "write_figures",
    "write_report",
]
