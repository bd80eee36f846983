"""What varies in a sweep: plain functions of an Optuna trial, and YAML; no torch, no ray."""
