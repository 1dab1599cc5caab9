# Every target creates .venv with the package and its tools if there is none.

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
COMPILED := setup.py $(wildcard timesad/c_code/*.[ch])

# One thread per process: the workers use all cores, and further threads would slow them down.
test test-all test-oldest docs: export OMP_NUM_THREADS = 1

.DEFAULT_GOAL := help
.PHONY: help demo docs test test-all test-oldest lint types format clean

help:
	@echo 'make demo         fit, score and draw the shipped recording; your own: DATA=my.csv TRAIN_ROWS=5000 OUT=my.png'
	@echo 'make docs         the documentation site, in docs/_build/html'
	@echo 'make test         lint, types, all tests and the documentation site (WORKERS=$(WORKERS) processes)'
	@echo 'make test-all     lint, types, all tests, and the slow ones: thousands of random inputs and damaged files'
	@echo 'make test-oldest  the tests with the oldest dependencies that the package allows'
	@echo 'make lint         ruff: rules and formatting'
	@echo 'make types        mypy'
	@echo 'make format       format the sources with ruff'
	@echo 'make clean        remove .venv and caches'

# venv installs pip last: without pip the environment is incomplete.
$(READY): pyproject.toml setup.cfg constraints.txt $(COMPILED)
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(OLDEST_READY): pyproject.toml setup.cfg constraints-oldest.txt $(COMPILED)
	test -x $(OLDEST_BIN)/pip || $(PYTHON) -m venv .venv-oldest
	$(OLDEST_BIN)/pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
		-e '.[benchmarks]' hypothesis pytest pytest-xdist
	touch $@

demo: $(READY)
	$(BIN)/python examples/demo.py \
		$(if $(DATA),--data '$(DATA)') $(if $(TRAIN_ROWS),--train-rows '$(TRAIN_ROWS)') \
		$(if $(SMOOTHING),--smoothing '$(SMOOTHING)') --out '$(OUT)'

# A warning is an error: a link without a target, a page that no table of contents has, an example that fails.
docs: $(READY)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build/html

test: lint types
	$(BIN)/pytest -n $(WORKERS)
	$(MAKE) docs

test-all: lint types
	$(BIN)/pytest -n $(WORKERS) --all

# Old versions warn about later changes, so warnings are not errors here. The benchmarks need current versions of the
# other libraries.
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
	rm -rf .venv .venv-oldest .mypy_cache .pytest_cache .ruff_cache build timesad.egg-info timesad/c_code/*.so
	rm -rf docs/_build docs/api docs/gallery
