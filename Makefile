# Works with GNU make 3.81 (macOS) as well as newer ones, and with BSD or GNU tools.
# Another Python:  make serve PYTHON=python3.12
# Another port:    make serve PORT=8000
# Another folder:  make export DIR=explainer
# Some tests only: make test ARGS="tests/bn_core -x"
# One after the other: make test AT_ONCE=0

PYTHON ?= python3
PORT ?= 5006
DIR ?= public
ARGS ?=
# Browser tests wait more than they compute.
AT_ONCE ?= 2

VENV := .venv
PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help serve export test lint bench stills screenshots
# Two pips at once in one environment would trip over each other.
.NOTPARALLEL:

help: ## say what can be made (this list)
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

serve: $(VENV)/.installed ## show the article at http://localhost:5006/app (PORT=... for another port)
	@echo ""
	@echo "  The article:  http://localhost:$(PORT)/app"
	@echo "  (Ctrl-C stops it)"
	@echo ""
	@$(PY) -m panel serve app --port $(PORT) \
		--allow-websocket-origin localhost:$(PORT) --allow-websocket-origin 127.0.0.1:$(PORT)

export: $(VENV)/.installed ## write the explainer as plain files into public/ (DIR=... for another folder)
	@$(PY) -m app export "$(DIR)"

test: $(VENV)/.installed-test ## run the whole test suite, in a real Chromium too (ARGS=... for pytest)
	@$(PY) tests/chromium.py
	@OPENBLAS_NUM_THREADS=1 $(PY) -m pytest -n $(AT_ONCE) --dist worksteal $(ARGS)

lint: $(VENV)/.installed-lint ## check style, layout and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: $(VENV)/.installed-test ## measure how fast the article is, and what it weighs
	@$(PY) tests/chromium.py
	@OPENBLAS_NUM_THREADS=1 $(PY) -m tests.bench $(ARGS)

stills: $(VENV)/.installed-test ## take the still pictures for readers without JavaScript anew
	@$(PY) tests/chromium.py
	@$(PY) -m tests.stills

screenshots: $(VENV)/.installed-test ## pictures of every section and figure, into screenshots/
	@$(PY) tests/chromium.py
	@$(PY) -m tests.screenshots

# The stamps stand inside the environment, so that removing .venv removes them too.

$(VENV)/.installed: pyproject.toml $(VENV)/.made
	@echo "Installing the project in $(VENV) (the first time takes a minute or two) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-%: pyproject.toml $(VENV)/.made
	@echo "Installing the project with its '$*' tools in $(VENV) (the first time takes a minute or two) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# An environment that is there and works is kept; one left half made is made anew.
$(VENV)/.made:
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
		command -v $(PYTHON) >/dev/null || { \
			echo "There is no '$(PYTHON)' here: install Python 3.11 or newer, or name one: make PYTHON=python3.12 ..." >&2; \
			exit 1; }; \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
			echo "Python 3.11 or newer is needed, and '$(PYTHON)' is older: name a newer one: make PYTHON=python3.12 ..." >&2; \
			exit 1; }; \
		$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
			echo "'$(PYTHON)' cannot make virtual environments: on Debian or Ubuntu, apt install python3-venv" >&2; \
			exit 1; }; \
		echo "Making a virtual environment in $(VENV) ..."; \
		$(PYTHON) -m venv --clear $(VENV) || exit 1; \
	fi
	@touch $@
