# Every target is a shorthand; `make help` prints the plain forms.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install demo test lint fmt types check matrix faults soak clean

# The first Python that is new enough; PYTHON3=... chooses another.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON3 ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && { echo $$python; break; }; done)
PYTHON := .venv/bin/python
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do \
		printf '  make %-8s %s\n' "$$name" "$$text"; done
	@echo
	@echo 'Without make:'
	@echo '  python3 -m venv .venv'
	@echo "  .venv/bin/pip install -c constraints.txt -e '.[demo]'    # for the demo"
	@echo '  .venv/bin/python manage.py demo'
	@echo "  .venv/bin/pip install -c constraints.txt -e '.[dev]'     # for the tests"
	@echo '  .venv/bin/python -m scripts.check'

install: .venv/dev.stamp ## the environment in .venv, with all tools

demo: .venv/demo.stamp ## the example shop with web server and worker; PORT=8001 chooses the port
	@exec $(PYTHON) manage.py demo

test: .venv/dev.stamp ## everything: style, types, all tests on all databases and in a browser
	@exec $(PYTHON) -m scripts.check

check: .venv/dev.stamp ## what needs no server: style, types, contracts, migrations, unit tests
	@exec $(PYTHON) -m scripts.check --quick

lint: .venv/dev.stamp ## style and import contracts
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	.venv/bin/lint-imports

fmt: .venv/dev.stamp ## format the code and repair what ruff can
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types: .venv/dev.stamp ## mypy, strict
	$(PYTHON) -m mypy

matrix: .venv/bin/python ## the suites on SQLite with Django 6 on every Python >= 3.12 found here
	@exec $(PYTHON) -m scripts.matrix

faults: .venv/dev.stamp ## every crash point on every database; takes a while
	FLOWSTATE_FAULTS=all FLOWSTATE_TEST_DATABASE=sqlite $(PYTHON) -m pytest tests/faults -q
	FLOWSTATE_FAULTS=all FLOWSTATE_TEST_DATABASE=postgres $(PYTHON) -m pytest tests/faults -q
	FLOWSTATE_FAULTS=all FLOWSTATE_TEST_DATABASE=mariadb $(PYTHON) -m pytest tests/faults -q

soak: .venv/dev.stamp ## two minutes of killed workers, and a million finished runs, on PostgreSQL
	@exec $(PYTHON) -m scripts.services $(PYTHON) -m scripts.soak

clean: ## remove the environments and what tools left behind
	rm -rf .venv .venv-* build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# Installed again only when the requirements change.
.venv/demo.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'Installing the demo into .venv ...'
	@$(PIP) --editable '.[demo]'
	@touch $@

.venv/dev.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo 'Installing the tools into .venv ...'
	@$(PIP) --editable '.[dev]'
	@touch $@

.venv/bin/python:
	@test -n '$(PYTHON3)' || { \
		echo 'flowstate needs Python 3.11 or newer; here is: '"$$(python3 --version 2>&1)"; \
		echo 'Name one: make PYTHON3=/path/to/python3.11 ...'; exit 1; }
	@$(PYTHON3) -c '$(NEW_ENOUGH)' || { \
		echo 'flowstate needs Python 3.11 or newer; $(PYTHON3) is: '"$$($(PYTHON3) --version 2>&1)"; exit 1; }
	@$(PYTHON3) -c 'import ensurepip' 2>/dev/null || { \
		echo '$(PYTHON3) cannot make environments. On Debian and Ubuntu:'; \
		echo '  apt-get install python3-venv'; exit 1; }
	@$(PYTHON3) -m venv .venv
