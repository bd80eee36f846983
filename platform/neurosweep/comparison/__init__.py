"""What a sweep found: the leaderboard, Optuna's figures and a report that needs nothing but a browser."""

from neurosweep.comparison.cost import SweepCost, sweep_cost
from neurosweep.comparison.evaluated import EvaluatedSweep, Opening, comparison_frame, read_evaluation
from neurosweep.comparison.evaluated_tables import (
    adapted_table,
    comparison_table,
    day_table,
    further_tables,
    reference_table,
    score_table,
    titled_tables,
)
from neurosweep.comparison.figures import write_figures
from neurosweep.comparison.hypervolume import hypervolume
from neurosweep.comparison.leaderboard import leaderboard, leaderboard_table, write_csv
from neurosweep.comparison.ranking import best_record, best_seen
from neurosweep.comparison.report import ReportContext, write_report

__all__ = [
    "EvaluatedSweep",
    "Opening",
    "ReportContext",
    "SweepCost",
    "adapted_table",
    "best_record",
    "best_seen",
    "comparison_frame",
    "comparison_table",
    "day_table",
    "further_tables",
    "hypervolume",
    "leaderboard",
    "leaderboard_table",
    "read_evaluation",
    "reference_table",
    "score_table",
    "sweep_cost",
    "titled_tables",
    "write_csv",
    "write_figures",
    "write_report",
]
