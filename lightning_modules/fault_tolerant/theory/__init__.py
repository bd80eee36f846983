"""What can be computed without drawing noise: recursions, thresholds, costs, and the points of the published figure."""
