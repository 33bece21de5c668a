# irstd-bench. Every target sets up what it needs, from a fresh clone.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready

# Passed on to run_benchmark.py when set, e.g.: make benchmark DETECTORS=mshnet LOSS=sls,soft_iou
options = $(if $(DETECTORS)$(PRESET),,--detectors all) $(if $(LOSS)$(PRESET),,--loss sls) \
          $(if $(PRESET),--preset '$(PRESET)') $(only)
only    = $(if $(DETECTORS),--detectors '$(DETECTORS)') \
          $(if $(LOSS),--loss '$(LOSS)') \
          $(if $(DATASET),--dataset '$(DATASET)') \
          $(if $(DATA_ROOT),--data-root '$(DATA_ROOT)') \
          $(if $(SEEDS),--seeds '$(SEEDS)') \
          $(if $(EPOCHS),--epochs $(EPOCHS)) \
          $(if $(DEVICE),--device '$(DEVICE)') \
          $(if $(OUTPUT),--output '$(OUTPUT)') \
          $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup benchmark profile test test-fast test-extra gpu-check gpu-bench gpu-reference bench docs \
        lint format clean clean-results

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
	@echo
	@echo "make benchmark takes DETECTORS LOSS DATASET DATA_ROOT PRESET SEEDS EPOCHS DEVICE OUTPUT"
	@echo "and ARGS='...' for anything else that run_benchmark.py knows (see --help there)."

setup: $(READY) ## make the virtual environment .venv with the locked packages

$(READY): requirements.lock
	@echo "Setting up $(VENV) (torch is large: this takes a minute or more) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --disable-pip-version-check -r requirements.lock
	@$(PY) -m benchmark.install
	@touch $(READY)

benchmark: $(READY) ## run the benchmark: all detectors with SLS on the synthetic set, unless told otherwise
	$(PY) run_benchmark.py $(strip $(options))

profile: $(READY) ## measure size and speed of every detector on this machine
	$(PY) run_benchmark.py profile --detectors '*' $(if $(DEVICE),--device '$(DEVICE)') $(ARGS)

test: $(READY) ## run the tests, one process a core
	$(PY) -m pytest -q -n auto --dist worksteal -m "not extra"

test-extra: $(READY) ## run the tests that 'make test' leaves out because they take minutes
	$(PY) -m pytest -q -n auto --dist worksteal -m extra

test-fast: $(READY) ## run the tests that take less than ten seconds each
	$(PY) -m pytest -q -n auto --dist worksteal -m "not slow and not extra"

gpu-check: $(READY) ## check on a GPU that everything computes what it does on a CPU (minutes)
	$(PY) -m tests.gpu.check $(ARGS)

gpu-bench: $(READY) ## measure on a GPU what a training step costs, and where the time goes (minutes)
	$(PY) -m tests.gpu.bench $(ARGS)

gpu-reference: $(READY) ## train the next cells of a reference table: SET=irstd1k DATA_ROOT=... TIME_LIMIT=8m
	$(PY) run_benchmark.py --preset reference-$(or $(SET),irstd1k) --time-limit $(or $(TIME_LIMIT),8m) \
	  $(strip $(only)) || [ $$? = 75 ]

bench: $(READY) ## time our code against plain transcriptions, side by side
	$(PY) -m tests.bench $(ARGS)

docs: $(READY) ## write the computed pages of docs/
	$(PY) run_benchmark.py docs

lint: $(READY) ## check style, formatting, types, and the length of files and functions
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m tests.structure

format: $(READY) ## apply the formatting that lint checks
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean: ## remove the environment and caches; results stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-results: ## remove the results of runs (results/reference stays)
	find results -mindepth 1 -maxdepth 1 ! -name reference ! -name README.md -exec rm -rf {} +
