"""What runs on a worker: build, fit, report, checkpoint. Knows neither the study nor MLflow."""
