# olrunbook. `make` alone explains the targets.
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

APP ?= tika
ARGS ?=
GATES ?=
PYTEST_ARGS ?=
SETUP := @sh setup/run.sh
BIN := .venv/bin
SLOW := rehearsal or browser
# One Python is enough for what looks at files, other programs and the rehearsal's rules,
# and for logic of our own that takes values and returns values: what the standard library
# does there (text, numbers, JSON, regular expressions) is the same in every Python. What
# meets processes, signals, threads, kernels, files and locks, sqlite, modules, annotations,
# HTMLParser, the command line or a library's compiled part runs on each; what people say
# at a gate meets no kernel, file or lock that these do not.
ONCE := $(addprefix --ignore=tests/,test_tree.py test_layers.py test_papermills.py \
    toolchain setup rehearsal/test_refresh_endings.py rehearsal/test_refresh_progress.py \
    rehearsal/test_groups.py pulumi/test_aws_groups.py pulumi/test_aws_handlers.py \
    rehearsal/test_account.py rehearsal/test_preferences.py images/test_apt_sources.py \
    images/test_image_test.py images/test_packer_lines.py pulumi/test_changes.py \
    pulumi/test_deploy_rules.py pulumi/test_values.py rollout/test_availability.py \
    pulumi/test_user_data.py rollout/test_watching.py test_approval.py test_approve.py \
    test_compare.py test_executed.py test_gate.py test_html.py test_imageset.py \
    test_order.py test_redact.py test_redact_planted.py test_release.py test_resume.py \
    test_rules.py)
ENDINGS := tests/endings
SCENARIOS := tests/scenarios/test_scenarios.py
# Two workers a Python: unit tests wait for kernels and processes half of their time.
WORKERS ?= 2
SPREAD := -n $(WORKERS) --dist loadfile
# Two targets at the same time; what the second one says comes last.
together = @other=$$(mktemp); $(MAKE) $(2) >"$$other" 2>&1 & pid=$$!; \
    $(MAKE) $(1); mine=$$?; wait $$pid; theirs=$$?; \
    cat "$$other"; rm -f "$$other"; [ $$mine -eq 0 ] && [ $$theirs -eq 0 ]

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  APP=tika          the app to release        ARGS='--to QA'  more for the release"
	@echo "  GATES=1           ask at every stage: the release waits there for approval"
	@echo "  PYTEST_ARGS='-k packer'  more for pytest    PYTHON=python3.12  the Python to use"
	@echo "  OLRUNBOOK_SETUP=yes  install system packages with sudo without asking"

release:  ## rehearse a release of APP through CI, QA and Production (does all set-up)
	$(SETUP) release
	@$(BIN)/olrunbook release $(APP) $(if $(filter-out 0,$(GATES)),--gate all) $(ARGS)

setup:  ## only the Python packages: read catalog and records (works anywhere)
	$(SETUP) packages

test:  ## every test: lint, unit, rehearsal, browser (does all set-up)
	$(SETUP) test
	@OLRUNBOOK_DURATIONS=$$(mktemp); export OLRUNBOOK_DURATIONS; \
	    $(MAKE) lint && $(MAKE) units && $(MAKE) test-endings && \
	    $(MAKE) test-rehearsal && $(MAKE) test-browser; code=$$?; \
	    echo "The ten slowest tests, with their fixtures, in seconds:"; \
	    sort -rn "$$OLRUNBOOK_DURATIONS" | head -10; \
	    rm -f "$$OLRUNBOOK_DURATIONS"; exit $$code

lint:  ## ruff, mypy, import-linter, packer fmt: changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@# one at a time: each is a `__main__` of its own
	for stack in stacks/*/__main__.py examples/*/stacks/*/__main__.py \
	    tests/*/*/stacks/*/__main__.py; do \
	    MYPYPATH=stacks $(BIN)/mypy stacks/components $$stack || exit 1; done
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m olrunbook.toolchain exec packer fmt -check -diff -recursive images

baseline:  ## accept what detect-secrets finds as no secret (look at each first)
	$(BIN)/detect-secrets scan --baseline .secrets.baseline \
	    --exclude-lines '^secretsprovider: ' \
	    --exclude-files '(^|/)go\.sum$$' --exclude-files '^requirements/.*\.txt$$'

units:  ## the unit tests on both Pythons, at the same time
	$(SETUP) other 3.13
	$(call together,unit,unit-313)

unit:  ## the unit tests: no network, no docker
	$(BIN)/python -m pytest -q -m "not ($(SLOW))" $(SPREAD) --ignore=$(ENDINGS) \
	    $(PYTEST_ARGS)

unit-313:  ## the unit tests on Python 3.13, where there is one
	$(SETUP) other 3.13
	@if [ -x .venv-3.13/bin/python ]; then \
	    .venv-3.13/bin/python -m pytest -q -m "not ($(SLOW))" $(SPREAD) $(ONCE) \
	        --ignore=$(ENDINGS) $(PYTEST_ARGS); \
	fi

fuzz:  ## ten rounds of the property tests with new examples; keep what fails as @example
	@for round in $$(seq 10); do echo "round $$round of 10"; \
	    OLRUNBOOK_HYPOTHESIS=fuzz $(BIN)/python -m pytest -q -m hypothesis \
	        $(PYTEST_ARGS) || exit 1; done

flaky:  ## the unit tests 20 times, shuffled, new examples, both Pythons as load
	@for round in $$(seq 20); do \
	    echo "round $$round of 20"; \
	    OLRUNBOOK_SHUFFLE=$$round OLRUNBOOK_HYPOTHESIS=fuzz $(MAKE) units || exit 1; done

test-endings:  ## every way a run can end: signals, kills, full disks (needs root)
	@# 5: none was selected
	$(BIN)/python -m pytest $(ENDINGS) $(PYTEST_ARGS) || [ $$? -eq 5 ]

test-rehearsal:  ## the tests that run the real tools on the rehearsal cloud, two at once
	$(call together,test-releases test-scenarios,test-rooms)

test-releases:  ## of these: whole releases, as a person types them
	@# 5: none was selected
	$(BIN)/python -m pytest -m rehearsal tests/scenarios --ignore=$(SCENARIOS) \
	    $(PYTEST_ARGS) || [ $$? -eq 5 ]

test-scenarios:  ## of these: tests/scenarios/*.toml, several at once on one rehearsal
	$(BIN)/python -m pytest -m rehearsal $(SCENARIOS) $(PYTEST_ARGS) || [ $$? -eq 5 ]

test-rooms:  ## of these: images, stacks, rollouts and the cloud, each by itself
	$(BIN)/python -m pytest -m rehearsal --ignore=tests/scenarios $(PYTEST_ARGS) || \
	    [ $$? -eq 5 ]

test-browser:  ## the tests that look at records in a headless Chromium
	@# 5: none was selected (PYTEST_ARGS may leave none)
	$(BIN)/python -m pytest -m browser $(PYTEST_ARGS) || [ $$? -eq 5 ]

lab:  ## JupyterLab with the notebooks
	$(SETUP) release
	@$(BIN)/olrunbook lab $(ARGS)

down:  ## stop the rehearsal, and the docker engine if set-up started it
	@if [ -x $(BIN)/olrunbook ]; then $(BIN)/olrunbook rehearsal down; fi
	$(SETUP) down

lock:  ## renew the locks from pyproject.toml (ARGS=--upgrade: newest)
	$(SETUP) lock $(ARGS)

clean:  ## remove .venv and the tools' leftovers in the tree (never outputs/ or the cache)
	rm -rf .venv .venv-3.13 .venv-theirs .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	rm -rf .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help release setup test lint baseline units unit unit-313 fuzz flaky test-endings \
        test-rehearsal test-releases test-scenarios test-rooms test-browser lab down lock clean
