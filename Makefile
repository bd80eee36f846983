# Two commands on a fresh machine: `make sweep` for the main job, `make test` for the tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: sweep test install lint benchmark slow clean
.DEFAULT_GOAL := sweep

sweep: install  ## a 16-trial sweep of SABLE on generated sessions
	$(BIN)/neurosweep launch sable

# Its nodes are dead after two seconds without a sign of life: tests/cluster wants the machine to itself.
test: install lint  ## everything that CI runs, two folders of tests at a time
	$(BIN)/python -m pytest --numprocesses 2 --ignore tests/cluster
	$(BIN)/python -m pytest tests/cluster

install: $(STAMP)  ## .venv with the tested versions

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

benchmark: install  ## against a plain Ray Tune + OptunaSearch + MLflowLoggerCallback script
	$(BIN)/python tests/benchmarks/against_plain_ray.py
	$(BIN)/python tests/benchmarks/throughput.py
	$(BIN)/python tests/benchmarks/sample_efficiency.py

slow: install  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .import_linter_cache
