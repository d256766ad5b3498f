# Each command does its own set-up on a fresh clone; a second call skips what is done.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
MODEL  ?= smollm2-135m
SWEEP  ?= data/sweeps/short.yaml
STORE  ?= runs
DEVICE ?= cuda

# Notebooks, tests and the jobs of a sweep are many processes: what one has compiled the next need not.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup book pdf links screenshots test coverage bench gpu sweep torture mutation lab clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## .venv, the pinned requirements and the embedded model
	@$(BIN)/python -m tslib fetch $(MODEL)

# The pip that comes with Python 3.11 takes three times as long; a newer one shows a warning of any editable installation.
$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": call make with PYTHON=python3.12, say")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=26"
	PYTHONWARNINGS=ignore:Editable $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --requirement requirements.txt --editable .
	@touch $@

book: $(VENV)/.installed  ## run every notebook on the embedded model and build _build/html
	$(BIN)/python -m tslib book

pdf: setup  ## the book that make book built as one PDF, _build/book.pdf; needs Chromium
	$(BIN)/python -m tslib pdf

links: setup  ## check the links that lead out of the book; needs a network, and the pages of make book
	$(BIN)/jupyter-book build --path-output . --builder linkcheck .

screenshots: setup  ## draw the README's pictures of the book, from the pages of make book, with Chromium
	$(BIN)/python tests/browser.py --screenshots

# Some processes of one thread each: most tests wait for Python, not for arithmetic. Each goes through a run of tests,
# so that what tests of a file share is made once, and whichever ends first takes over half of what another has left.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test: setup  ## style, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

coverage: setup  ## the tests, and which lines and branches of tslib they run; fails below 95 %
	$(PYTEST) --cov

bench: setup  ## steps, memory and topology against PEFT and its peers; prints the table of the chapter "What it costs"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m tslib bench --file runs/cost.json

gpu: setup  ## does a GPU compute what it should, and how fast? writes runs/gpu.json, for data/results/ (DEVICE=cuda)
	$(BIN)/python -m tslib check-device --device $(DEVICE) --file runs/gpu.json

sweep: setup  ## what is missing of a sweep: make sweep SWEEP=data/sweeps/short.yaml STORE=runs
	$(BIN)/python -m tslib sweep $(SWEEP) --store $(STORE)

torture: setup  ## kill a sweep a hundred times and compare what it left; writes data/results/torture.json
	$(BIN)/python tests/torture.py

mutation: setup  ## change the mathematics and the scoring in one place after another; fails where no test notices
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mutation]'
	$(BIN)/python tests/mutation.py

lab: setup  ## JupyterLab in this folder, on the notebook to start with
	$(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" notebooks/start.ipynb

clean:  ## remove what was built (.venv, _build); models stay in the cache
	rm -rf $(VENV) _build
