"""The sweep's memory: the Optuna study that proposes, prunes and remembers trials."""
