# Relance. `make` alone says what there is. Works with the make of macOS (3.81).

PYTHON ?=
VENV   ?= .venv
PORT   ?= 8000
DATA   ?= .relance
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install run test check format witness faults bench clean

help: ## Show what there is
	@echo "make run       start everything on this machine; Ctrl-C stops it (PORT=$(PORT) DATA=$(DATA))"
	@echo "make test      run the tests; they bring their own servers"
	@echo "make install   make the environment in $(VENV) (the others do it by themselves)"
	@echo "make check     format, lint, types, import contracts, drift of schema, migrations and docs"
	@echo "make format    put the code into its one format"
	@echo "make witness   tests against programs from outside (smtp-sink, Chromium, npm); CI=true insists on them"
	@echo "make faults    tests that kill, cut and stop parts while they work; every time zone at length"
	@echo "make bench     measure what the README claims"
	@echo "make clean     remove the environment and what tools leave behind; never data"
	@echo "relance --help the command line, in $(BIN)/relance"

install: $(STAMP)

# One stamp: nothing is done while neither the lock nor the project's description has changed.
$(STAMP): requirements.lock pyproject.toml
	@set -e; python="$(PYTHON)"; \
	enough='import sys; sys.exit(sys.version_info < (3, 11))'; complete="import ensurepip, venv; $$enough"; \
	for wish in "$$complete" "$$enough"; do \
	  for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	    if [ -z "$$python" ] && "$$name" -c "$$wish" >/dev/null 2>&1; then python="$$name"; fi; \
	  done; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Relance needs Python 3.11 or later, and none was found. Install it, or name it: make install PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! "$$python" -c "$$enough" >/dev/null 2>&1; then \
	  echo "$$python cannot be run or is older than Python 3.11. Name another one: make install PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! "$$python" -c "$$complete" >/dev/null 2>&1; then \
	  echo "$$python cannot make environments: its modules venv and ensurepip are missing. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi; \
	if ! "$(BIN)/python" -c "$$enough" >/dev/null 2>&1; then \
	  echo "Making the environment in $(VENV) with $$python …"; \
	  rm -rf "$(VENV)"; \
	  "$$python" -m venv "$(VENV)"; \
	fi; \
	echo "Installing what requirements.lock names …"; \
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	touch "$(STAMP)"

run: $(STAMP)
	@"$(BIN)/python" -c "" 2>/dev/null || { \
	  echo "This user cannot run the Python of $(VENV), which another user made. Clone the repository anew and run it there." >&2; exit 1; \
	}
	@exec "$(BIN)/relance" up --data "$(DATA)" --port "$(PORT)"

test: $(STAMP)
	@"$(BIN)/pytest" -q -n 2 --dist loadfile

check: $(STAMP)
	"$(BIN)/ruff" format --check .
	"$(BIN)/ruff" check .
	"$(BIN)/mypy"
	"$(BIN)/lint-imports"
	"$(BIN)/relance" schema check
	"$(BIN)/relance" schema tables --check
	"$(BIN)/relance" docs lifecycle --check
	"$(BIN)/pytest" -q tests/cli/test_drift.py

format: $(STAMP)
	@"$(BIN)/ruff" format .
	@"$(BIN)/ruff" check --fix .

witness: $(STAMP)
	@"$(BIN)/pytest" -q -m witness

faults: $(STAMP)
	@RELANCE_FAULT_RUNS="$${RELANCE_FAULT_RUNS:-10}" "$(BIN)/pytest" -q -m "witness or not witness" \
	  tests/faults tests/witness/test_replies_by_imap.py tests/rules/test_zone_nights.py tests/inbound/test_corpora.py

bench: $(STAMP)
	@"$(BIN)/python" -m bench

clean:
	rm -rf "$(VENV)" build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
