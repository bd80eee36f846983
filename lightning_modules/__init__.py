"""The science: torch, pytorch_lightning and numpy; never ray, optuna, mlflow or neurosweep."""
