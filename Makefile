.DEFAULT_GOAL := help
TARGET ?= $(or $(STREAMPRO_TARGET),local)
PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/installed$(if $(shell grep -s '^engine *= *"spark"' configs/$(TARGET).toml),-spark)
LOCK := $(BIN)/uv pip compile -q --no-config --universal --generate-hashes --no-emit-index-url \
  --no-annotate --no-header --python-version 3.11 pyproject.toml
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help install dev browser postgres mariadb run test test-fast thorough fuzz check lint types format reference docs notebook lock cluster-up cluster-down bench clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: .venv/installed  ## make .venv with what a run needs

dev: .venv/installed-dev browser postgres mariadb  ## the same with everything that tests and checks need

browser:  ## install Debian's Chromium, which looks at the report, where there is none
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo -n); \
	  $$sudo apt-get update -qq && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || { \
	  echo "The tests of the report need Chromium: install it, then run make again." >&2; exit 1; }

postgres:  ## install Debian's PostgreSQL, to which tests export, where there is none
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo -n); \
	  $$sudo apt-get update -qq && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null; } || { \
	  echo "The tests of databases need PostgreSQL: install it, then run make again." >&2; exit 1; }

mariadb:  ## install Debian's MariaDB, of which tests read tables, where there is none
	@command -v mariadb-install-db >/dev/null || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo -n); \
	  $$sudo apt-get update -qq && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mariadb-server >/dev/null; } || { \
	  echo "The tests of databases need MariaDB: install it, then run make again." >&2; exit 1; }

run: $(RUNTIME)  ## run the pipeline on data/sample, print the answers, write report.html (TARGET=local)
	@$(BIN)/streampro run --target $(TARGET)
	@$(BIN)/streampro report --target $(TARGET)

test: dev  ## run all tests
	@$(BIN)/pytest -q -n 2 --dist loadgroup

test-fast: dev  ## run the tests that take less than half a second each and start no Spark, browser, store, database or cluster
	@$(BIN)/pytest -q -n 2 --dist loadgroup --engines duckdb -m 'not slow'

thorough: dev  ## run all tests with many examples each, and those that repeat others
	@HYPOTHESIS_PROFILE=thorough $(BIN)/pytest -q -n 2 --dist loadgroup

fuzz: dev  ## compare N random expressions of each kind on both engines (N=20000 SEED=0), 2,000 in a Java
	@N=$(or $(N),20000); for part in $$(seq 0 2000 $$((N - 1))); do \
	  FUZZ=$$((N - part < 2000 ? N - part : 2000)) FUZZ_SEED=$$(($(or $(SEED),0) + part)) \
	  $(BIN)/pytest -q --timeout=0 -m 'thorough or not thorough' tests/fuzz/test_fuzz.py tests/fuzz/test_walk.py || exit 1; \
	done

check: lint types test  ## what CI runs: format, lint, types, tests

lint: .venv/installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: .venv/installed-dev
	@$(BIN)/mypy

format: .venv/installed-dev  ## format and sort what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

reference: .venv/installed-dev  ## write docs/reference from contracts, commands and settings
	@$(BIN)/python tools/reference.py

docs: reference  ## build the documentation into site/ (mkdocs serve shows it while you write)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

notebook: .venv/installed-dev  ## run the notebook on data/sample, write notebooks/viewing.html
	@$(BIN)/python -m nbconvert --execute --to html --log-level ERROR \
	  --HTMLExporter.mathjax_url= --HTMLExporter.require_js_url= notebooks/viewing.ipynb
	@echo notebooks/viewing.html

lock: .venv/installed-dev  ## make the locks anew from pyproject.toml
	@$(LOCK) -o requirements.lock
	@$(LOCK) --extra spark -c requirements.lock -o requirements-spark.lock
	@$(LOCK) --extra spark --extra openlineage --extra postgres --extra mysql --extra xlsx --group dev -c requirements-spark.lock -o requirements-dev.lock

cluster-up: .venv/installed-spark  ## start a Spark master and two workers on this machine
	@$(BIN)/python tools/cluster.py up

cluster-down: .venv/installed-spark  ## stop them
	@$(BIN)/python tools/cluster.py down

bench: .venv/installed-dev  ## measure against handwritten SQL (EVENTS=10000000)
	@$(BIN)/python benchmarks/run.py --events $(or $(EVENTS),10000000)

clean:  ## remove the environment and what runs and tools left
	rm -rf .venv site report.html notebooks/*.html .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/pip install -q --require-hashes -r requirements.lock
	$(BIN)/pip install -q --no-deps -e .
	@touch $@

.venv/installed-spark: requirements-spark.lock .venv/installed
	$(BIN)/pip install -q --require-hashes -r requirements-spark.lock
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	$(BIN)/pip install -q --require-hashes -r requirements-dev.lock
	@touch $@
