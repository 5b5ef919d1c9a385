# Two commands matter: `make up` and `make test`. The rest is for those who change quantdesk.
.DEFAULT_GOAL := help
.PHONY: help up references test test-all test-nightly check format bench scale docs lock data clean

# PYTHON= decides; else the one that .venv stands on; else the first of this machine that is 3.11 to 3.13 and really starts.
PYTHON ?= $(shell for p in "$$(.venv/bin/python -c 'import sys; print(sys._base_executable)' 2>/dev/null)" python3 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
PORT ?= 8000
BIN := .venv/bin
export PYTHONUNBUFFERED := 1

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1 | /' | column -t -s '|' 2>/dev/null \
		|| grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST)

.PHONY: python venv venv-dev
python:
	@test -n "$(PYTHON)" || { echo "quantdesk needs Python 3.11, 3.12 or 3.13, and none was found. Install one, or name it: make up PYTHON=/path/to/python3.12" >&2; exit 4; }

venv: python
	@$(PYTHON) tools/bootstrap.py

venv-dev: python
	@$(PYTHON) tools/bootstrap.py --dev

up: venv  ## set everything up and start the hub on http://127.0.0.1:8000 (PORT= changes it); Ctrl-C stops it
	@exec $(BIN)/quantdesk up --port $(PORT)

test: venv-dev  ## the tests, within 15 minutes on two cores
	@$(BIN)/python tools/run_tests.py

test-all: venv-dev  ## the same and all that needs longer
	@$(BIN)/python tools/run_tests.py --all

test-nightly: venv-dev  ## the notebooks by nbval, and on all that the store holds
	@$(BIN)/python tools/run_tests.py --nightly

check: venv-dev  ## ruff, mypy, import-linter: seconds
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

format: venv-dev  ## let ruff lay out the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: venv-dev  ## set-up, hub, spawn, notebooks and features, as ratios measured in one run
	@$(BIN)/python benchmarks/run.py

scale: venv-dev  ## what more users, symbols, rows, runs, reports and scenarios cost: half an hour, the machine idle
	@$(BIN)/python benchmarks/scale

references: venv-dev  ## run the notebooks again for the executed copies in tests/notebooks
	@$(BIN)/python tests/notebooks/refresh.py

docs: venv-dev  ## the documentation, in site/
	@$(BIN)/mkdocs build --strict

lock: venv-dev  ## resolve the lock files again
	@$(BIN)/python tools/lock.py

data: venv-dev  ## take the bundled data out of their packages again, and compare
	@$(BIN)/python tools/vendor_data.py --check

clean:  ## remove the environment and the build products; state/ (data, homes, reports) stays
	@rm -rf .venv .python site dist .mypy_cache .ruff_cache .pytest_cache
