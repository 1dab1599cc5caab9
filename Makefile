# Every target sets itself up: the first one that runs creates .venv and installs the package with its tools.

PYTHON ?= python3
WORKERS ?= 2

DATA ?=
TRAIN_ROWS ?=
OUT ?= demo.png

BIN := .venv/bin
READY := .venv/.ready

# One thread a process: the workers share the cores, and numerical threads that compete for them cost more than they give.
test: export OMP_NUM_THREADS = 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint types format clean

help:
	@echo 'make demo    fit, score and draw the shipped recording; DATA=my.csv TRAIN_ROWS=5000 OUT=my.png for your own'
	@echo 'make test    lint, types and every test (WORKERS=$(WORKERS) processes)'
	@echo 'make lint    ruff: rules and formatting'
	@echo 'make types   mypy'
	@echo 'make format  rewrite the sources as ruff formats them'
	@echo 'make clean   remove .venv and caches'

# A copy of pip is the last thing that venv installs: where it is missing, the environment is not whole.
$(READY): pyproject.toml setup.cfg constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(READY)
	$(BIN)/python examples/demo.py \
		$(if $(DATA),--data '$(DATA)') $(if $(TRAIN_ROWS),--train-rows '$(TRAIN_ROWS)') --out '$(OUT)'

test: lint types
	$(BIN)/pytest -n $(WORKERS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build timesad.egg-info
