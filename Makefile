# One command per chore, the same here and in CI. Each sets up what it needs; bin/setup answers in a few
# milliseconds when nothing changed.
.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast test-all engine check map bench clean

WORKERS ?= 2      # processes of the tests; each holds a TensorFlow of about 2 GB
PYTEST_ARGS ?=    # for example: make test PYTEST_ARGS="tests/pipeline -k gate"
PYTEST = .venv/bin/python -m pytest -n $(WORKERS) --dist loadgroup
export PYTHON GPU  # the Python 3.11 to use, if PATH does not lead to it; 1 for CUDA

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## install the locked dependencies into .venv; safe to repeat
	@bin/setup

run: setup  ## train, evaluate, record and publish the model "digits"
	@.venv/bin/keraspipe run digits

test: setup  ## the whole test suite; PYTEST_ARGS="-k gate" narrows it
	@$(PYTEST) $(PYTEST_ARGS)

test-fast: setup  ## the tests that start no process and take no seconds, for between two edits
	@$(PYTEST) -m "not process and not heavy and not slow and not engine" $(PYTEST_ARGS)

test-all: setup  ## also what trains for minutes, and the contract of all recipes from nothing
	@KERASPIPE_TEST_CACHE= $(PYTEST) -m "not engine" $(PYTEST_ARGS)

engine: setup  ## the stack of docker-compose.yml on a Docker engine: the one that runs, or as root on Debian 12 one of its own
	@tests/engine/engine.sh .venv/bin/python -m pytest -m engine $(or $(PYTEST_ARGS),tests/engine) || [ $$? = 77 ]

check: setup  ## lint, format, types, layers, and whether the map is that of the code
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/python bin/map.py --check

map: setup  ## draw docs/map.svg: folders in their layers, and who imports whom
	@.venv/bin/python bin/map.py

bench: setup  ## the measured speeds beside the ones to reach
	@.venv/bin/python -m benchmarks

clean:  ## remove .venv, .uv and caches; the workspace with its models stays
	@rm -rf .venv .uv .uv.new.* .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -not -path './workspace/*' -prune -exec rm -rf {} +
