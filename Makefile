# One target per task, the same here and in CI. Each target runs bin/setup first, which takes a few milliseconds
# when nothing changed.
.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast test-long test-all engine check map bench clean

WORKERS ?= 2      # test processes; each needs about 2 GB for TensorFlow, in test-long and test-all up to 10 GB: it keeps what it had
PYTEST_ARGS ?=    # for example: make test PYTEST_ARGS="tests/pipeline -k gate"
PYTEST = .venv/bin/python -m pytest -n $(WORKERS) --dist loadgroup --max-worker-restart 0
export PYTHON GPU  # PYTHON: path of Python 3.11 if it is not on PATH; GPU=1 installs CUDA

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## install the locked dependencies into .venv; safe to repeat
	@bin/setup

run: setup  ## train, evaluate, record and publish the model "digits"
	@.venv/bin/keraspipe run digits

test: setup  ## run the everyday tests, about 12 minutes; PYTEST_ARGS="-k gate" selects some
	@$(PYTEST) $(PYTEST_ARGS)

test-fast: setup  ## run only the tests that start no process and take milliseconds
	@$(PYTEST) -m "not process and not heavy and not long and not slow and not engine" --hypothesis-profile=brief $(PYTEST_ARGS)

test-long: setup  ## run the tests that take long: whole runs, killed runs, the contract of every recipe
	@$(PYTEST) -m "long and not slow and not engine" $(PYTEST_ARGS)

test-all: setup  ## run all tests, also those that train for minutes, without cached runs; about 75 minutes
	@status=0; for part in "not long and not slow" "long and not slow" slow; do \
		KERASPIPE_TEST_CACHE= $(PYTEST) -m "($$part) and not engine" $(PYTEST_ARGS) || status=1; \
	done; exit $$status  # each part in new processes: TensorFlow keeps what the largest recipe needed

engine: setup  ## test docker-compose.yml on the running Docker engine, or, as root on Debian 12, on one that it installs
	@tests/engine/engine.sh .venv/bin/python -m pytest -m engine $(or $(PYTEST_ARGS),tests/engine) || [ $$? = 77 ]

check: setup  ## check lint, format, types, layers, and that docs/map.svg is current
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/python bin/map.py --check

map: setup  ## draw docs/map.svg: the folders, their layers and imports
	@.venv/bin/python bin/map.py

bench: setup  ## measure the speeds, and compare them with their targets
	@.venv/bin/python -m benchmarks

clean:  ## remove .venv, .uv and caches; keep the workspace with its models
	@rm -rf .venv .uv .uv.new.* .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -not -path './workspace/*' -prune -exec rm -rf {} +
