# Every target sets itself up: the first one that runs creates .venv and installs the package with its tools.

PYTHON ?= python3
WORKERS ?= 2

DATA ?=
TRAIN_ROWS ?=
OUT ?= demo.png
SMOOTHING ?=

BIN := .venv/bin
READY := .venv/.ready
OLDEST_BIN := .venv-oldest/bin
OLDEST_READY := .venv-oldest/.ready
COMPILED := setup.py $(wildcard timesad/nn/maps/*.[ch])

# One thread a process: the workers share the cores, and numerical threads that compete for them cost more than they give.
test test-oldest: export OMP_NUM_THREADS = 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-oldest lint types format clean

help:
	@echo 'make demo         fit, score and draw the shipped recording; DATA=my.csv TRAIN_ROWS=5000 OUT=my.png for your own'
	@echo 'make test         lint, types and every test (WORKERS=$(WORKERS) processes)'
	@echo 'make test-oldest  the tests again, with the oldest dependencies that the package admits'
	@echo 'make lint         ruff: rules and formatting'
	@echo 'make types        mypy'
	@echo 'make format       rewrite the sources as ruff formats them'
	@echo 'make clean        remove .venv and caches'

# A copy of pip is the last thing that venv installs: where it is missing, the environment is not whole.
$(READY): pyproject.toml setup.cfg constraints.txt $(COMPILED)
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(OLDEST_READY): pyproject.toml setup.cfg constraints-oldest.txt $(COMPILED)
	test -x $(OLDEST_BIN)/pip || $(PYTHON) -m venv .venv-oldest
	$(OLDEST_BIN)/pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
		-e '.[benchmarks]' pytest pytest-xdist
	touch $@

demo: $(READY)
	$(BIN)/python examples/demo.py \
		$(if $(DATA),--data '$(DATA)') $(if $(TRAIN_ROWS),--train-rows '$(TRAIN_ROWS)') \
		$(if $(SMOOTHING),--smoothing '$(SMOOTHING)') --out '$(OUT)'

test: lint types
	$(BIN)/pytest -n $(WORKERS)

# Old versions warn of what newer ones have changed, so warnings are shown here, not errors. The benchmarks are for
# today's peers alone.
test-oldest: $(OLDEST_READY)
	$(OLDEST_BIN)/pytest -n $(WORKERS) -W default --ignore tests/benchmarks

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-oldest .mypy_cache .pytest_cache .ruff_cache build timesad.egg-info timesad/nn/maps/*.so
