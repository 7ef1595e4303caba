# `make` alone prints what there is. GNU make; recipes are POSIX shell.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MEANWHILE := sh .ci/meanwhile
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install run test newer newer-core lint faults seeds soak bench bench-quick docs screenshots site dist clean

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.dev ## make the virtual environment in .venv and install the package with its tools

run: $(VENV)/.runtime ## start the private local stack, post the demonstration, serve until Ctrl-C; LOGS=1 shows logs
	@$(BIN)/python -m ingest.local.foreground $(BIN)/chef-ingest up --demo $(LOGS:%=--logs)

# Much of the suite is waiting: more workers than cores. A file stays with one worker, for what its tests share.
WORKERS ?= 4
SIDE_BY_SIDE := --dist loadfile --no-loadscope-reorder
PROVED ?=
test: $(VENV)/.dev ## run the whole suite, against servers that it starts itself; PROVED=FILE writes down what passed
	@$(BIN)/python -m pytest -n $(WORKERS) $(SIDE_BY_SIDE) $(PROVED:%=--proved %)

lint: $(VENV)/.dev ## check style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

faults: $(VENV)/.dev ## every fault scenario, the long ones too
	@$(BIN)/python -m pytest tests/faults tests/integration/test_replay.py -m "slow or not slow"

N ?= 20000
seeds: $(VENV)/.dev ## N=20000 histories of the worker's loop, from seed FIRST=..; all that happens in one: SEED=..
	@PYTHONPATH=tests $(BIN)/python -m simulation --count $(N) $(FIRST:%=--first %) $(SEED:%=--seed %)

# What differs from version to version: the main path, letters, replay, the doctor, TLS, the fault core.
SUITE ?= trixie
NEWER ?= tests/unit tests/faults $(patsubst %,tests/integration/test_%.py,\
	main_path letter_birth replay dead_letters operate doctor_management delivery_limit broker_refusals \
	broker_permissions http_answers tls collector local_stack up)
newer: ## much of it inside a newer Debian, made for that: SUITE=trixie; needs root
	@PROVED=yes tests/newer.sh $(SUITE) -n $(WORKERS) $(SIDE_BY_SIDE) $(NEWER)

# 69: that Debian can't be had on this machine, which says nothing of the project. All else that fails is the project's.
CORE := tests/unit/schemas/validation tests/unit/schemas/kinds tests/unit/consumers/broker tests/faults/test_repeats.py \
	$(patsubst %,tests/integration/test_%.py,main_path letter_birth replay delivery_limit operate)
newer-core: ## the least of it, for CI; where that Debian can't be had, it says so and fails nothing
	@tests/newer.sh $(SUITE) -n $(WORKERS) $(SIDE_BY_SIDE) $(CORE) || { status=$$?; [ $$status = 69 ] || exit $$status; \
		printf '%s\n' '' '****' '**** NOT TESTED on Debian $(SUITE): it can'\''t be had on this machine, as said above.' '****' '' >&2; }

MINUTES ?= 20
soak: $(VENV)/.dev ## random faults for MINUTES=20 minutes, those of SEED=.. again, then the ledger
	@$(BIN)/chef-ingest soak --minutes $(MINUTES) $(SEED:%=--seed %)

BENCH ?=
bench: $(VENV)/.dev ## measure against peers and limits, print the table; BENCH=--write puts it into the docs
	@$(BIN)/python -m bench $(BENCH)

bench-quick: $(VENV)/.dev ## a little of it, for correctness only
	@$(BIN)/python -m bench --quick

docs: $(VENV)/.dev ## write docs/reference, the man page and the picture of the rooms out of the code
	@$(BIN)/python -m ingest.reference --write docs/reference --man docs/man
	@$(BIN)/python tests/picture.py docs/explanation/rooms.md
	@$(BIN)/python tests/proved.py docs/versions.md

screenshots: $(VENV)/.dev ## take the pictures of the console in docs/pictures anew, of made-up data
	@PYTHONPATH=.:tests:tests/integration:tests/browser $(BIN)/python tests/browser/portraits.py docs/pictures

# The pages as they lie in the repository, so that the links between them are the same.
site: $(VENV)/.site ## build the documentation's site, with search, into build/site; a link that leads nowhere fails
	@rm -rf build/pages build/site
	@mkdir -p build/pages/deploy
	@cp -r docs README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE build/pages/
	@cp deploy/README.md build/pages/deploy/
	@$(BIN)/zensical build --strict --clean --config-file mkdocs.yml

dist: $(VENV)/.dev ## build the sdist and the wheel into dist/
	@rm -rf build dist
	@$(BIN)/python -m build

clean: ## remove .venv, caches and build leftovers; the data in .local stays
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache
	@find ingest consumers schemas tests -name __pycache__ -prune -exec rm -rf {} +

# Stamps: installed again only when what is to be installed has changed. pip comes last into a new
# environment, so where it is, the environment is whole.
# An editable install brings no manual along; where PATH has .venv/bin, `man` looks here.
MANUAL = mkdir -p $(VENV)/share/man/man1 && ln -sf $(CURDIR)/docs/man/chef-ingest.1 $(VENV)/share/man/man1/

$(VENV)/.dev: $(BIN)/pip setup.cfg pyproject.toml
	@$(MEANWHILE) 'installing chef-ingest and its tools into $(VENV)' \
		$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@$(MANUAL)
	@touch $(VENV)/.dev $(VENV)/.runtime

$(VENV)/.runtime: $(BIN)/pip setup.cfg pyproject.toml
	@$(MEANWHILE) 'installing chef-ingest into $(VENV)' \
		$(BIN)/python -m pip install --quiet --editable '.[console]'
	@$(MANUAL)
	@touch $@

$(VENV)/.site: $(BIN)/pip setup.cfg pyproject.toml
	@$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

$(BIN)/pip:
	@$(MEANWHILE) 'making a virtual environment in $(VENV)' sh .ci/venv $(PYTHON) $(VENV)
