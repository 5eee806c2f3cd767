# Podium's targets. Each one makes its own virtual environment; what it needs is Python 3.11 or newer, make, and the
# package registries pip is configured with. Versions are pinned by constraints.txt, so a month changes nothing.

PYTHON ?= python3
BENCHES ?= checkin round select
SEEDS ?= 1000 0
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The tests start hundreds of processes; each would compile Podium anew.
unexport PYTHONDONTWRITEBYTECODE

# The build backend comes from the same constraints as everything else, so it is installed first and not isolated.
BACKEND := $(shell sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml)
INSTALL := -m pip install --quiet -c constraints.txt
SOURCES := $(shell find src -name '*.py' -o -name '*.sql' -o -name '*.toml' -o -name 'py.typed')

.PHONY: help demo test test-long counterparts check format bench docs site lock mutate seeds clean

help: ## say what each target does
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  make \1\t\2/p' Makefile | expand -t 20

.venv/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python $(INSTALL) $(BACKEND)
	.venv/bin/python $(INSTALL) --no-build-isolation --editable '.[dev]'
	touch $@

.venv-demo/.stamp: pyproject.toml constraints.txt README.md LICENSE $(SOURCES)
	test -x .venv-demo/bin/python || $(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python $(INSTALL) $(BACKEND)
	.venv-demo/bin/python $(INSTALL) --no-build-isolation '.[demo]'
	touch $@

# A real MLflow server has dependencies of its own, many of them; it shares nothing with Podium but the network.
.venv-mlflow/.stamp: constraints-mlflow.txt
	$(PYTHON) -m venv --clear .venv-mlflow
	.venv-mlflow/bin/python -m pip install --quiet -c constraints-mlflow.txt mlflow
	touch $@

demo: .venv-demo/.stamp ## four hospitals train one model through a real plane
	.venv-demo/bin/podium demo

test: .venv/.stamp ## everything not marked long; under 10 minutes
	.venv/bin/pytest -n 2 -m "not long"

test-long: .venv/.stamp .venv-mlflow/.stamp counterparts ## kills, wide seeds, real counterparts, mutation; under 25 minutes
	.venv/bin/pytest -n 2 -m long

counterparts: ## the programs that test-long needs besides: Debian's chromium and prometheus
	@bash tools/counterparts.sh

check: .venv/.stamp ## format, lint, types, house rules
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy --strict
	.venv/bin/pytest tests/tidy

format: .venv/.stamp ## let ruff format and mend what it can
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: .venv/.stamp ## measure; BENCHES="checkin round" names which
	.venv/bin/podium bench $(BENCHES)

docs: .venv/.stamp ## make the generated pages of docs/ again
	.venv/bin/python -m tools.states
	.venv/bin/python -m tools.reference
	.venv/bin/python -m tools.task_page
	.venv/bin/python -m tools.metrics_page
	.venv/bin/python -m tools.dashboard
	.venv/bin/python -m tools.cli_page
	.venv/bin/python -m tools.api_page
	.venv/bin/python -m tools.strategies_page

site: .venv/.stamp ## docs/ as a web site in build/site
	.venv/bin/mkdocs build --strict --quiet

seeds: .venv/.stamp ## 1,000 faulted worlds of every kind in virtual time; SEEDS="COUNT FIRST"; some ten minutes
	.venv/bin/python -m tests.sim.worlds $(SEEDS)

mutate: .venv/.stamp ## every mutant of the guards of core/rounds, selection and pacing; slow
	.venv/bin/python -m tests.mutation.guards

lock: ## choose the newest versions anew and write both constraints files
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip install --quiet $(BACKEND)
	.venv-lock/bin/python -m pip install --quiet --no-build-isolation --editable '.[dev]'
	.venv-lock/bin/python tools/lock.py constraints.txt
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip install --quiet mlflow
	.venv-lock/bin/python tools/lock.py constraints-mlflow.txt
	rm -rf .venv-lock

clean: ## remove what the targets made
	rm -rf .venv .venv-demo .venv-mlflow .venv-lock .mypy_cache .ruff_cache .hypothesis mutants build
