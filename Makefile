# Everything runs in .venv, which the targets make themselves: python3, pip, git and make are enough.
# Variables: PYTHON (the interpreter that .venv is made with), DATA (a folder of yours for the demo),
#            ARGS (more arguments for pytest, or for the benchmark), ALL (run the thorough tests, too).

PYTHON ?= python3
DATA ?=
ARGS ?=
ALL ?=

VENV := $(CURDIR)/.venv
# git-annex, datalad and our remote are found in .venv/bin first
RUN := PATH="$(VENV)/bin:$$PATH"
DEMO_FILES := demo-output/package
# It ships real neuroimaging files in many formats. It is unpacked, not installed: no dependencies.
DEMO_PACKAGE := nibabel>=5.3,<6

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test bench bench-reading check lint types layers docs changelog clean

help:  ## show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: .venv/.has-annex,local $(if $(DATA),,$(DEMO_FILES)/.unpacked)  ## send real files to a local S3 server and back (DATA=folder: yours)
	@$(RUN) python docs/demo.py $(if $(DATA),--data "$(DATA)",--package $(DEMO_FILES)/nibabel)

test: .venv/.has-test  ## run the tests (ALL=1: the thorough ones, too; ARGS="-k name": some of them)
	@$(RUN) python -m pytest -n 2 --dist worksteal $(if $(ALL),,-m "not thorough") $(ARGS)

bench: .venv/.has-bench  ## compare our speed with others'; without ARGS, that of reading, too (ARGS="--works 'relay-*' --rounds 3"; ARGS=--help)
	@$(RUN) python benchmarks/first_reply.py
	@$(RUN) python -m benchmarks.bench $(ARGS); missed=$$?; \
	    $(if $(ARGS),,$(RUN) python -m benchmarks.reading || missed=1;) exit $$missed

bench-reading: .venv/.has-bench  ## compare reading without downloading with s3fs and datalad get (ARGS=--help)
	@$(RUN) python -m benchmarks.reading $(ARGS)

check: lint types layers docs  ## lint, types, layers and docs

lint: .venv/.has-check,docs  ## style (ruff)
	$(RUN) ruff check .
	$(RUN) ruff format --check .

types: .venv/.has-check,docs  ## types (mypy --strict on the package)
	$(RUN) mypy

layers: .venv/.has-check,docs  ## imports go down only (import-linter)
	$(RUN) lint-imports

docs: .venv/.has-check,docs  ## build the documentation; a warning is an error
	$(RUN) python docs/build_changelog.py --check
	$(RUN) sphinx-build -W -n -q -E docs docs/_build/html
	@echo "documentation: docs/_build/html/index.html"

changelog: .venv/.has-check,docs  ## write CHANGELOG.md from docs/changelog.d
	$(RUN) python docs/build_changelog.py

clean:  ## remove .venv and everything that was built
	@chmod -R u+w demo-output 2>/dev/null || true
	rm -rf .venv demo-output docs/_build docs/reference/generated build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per set of extras; out of date when the metadata changed.
.venv/.has-%: setup.cfg pyproject.toml | .venv/bin/python
	@echo "installing datalad-s3ext[$*] into .venv (once) ..."
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch '$@'

# Debian's python3 without python3-venv cannot bootstrap pip: then the pip beside it installs one.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "datalad-s3ext needs Python 3.11 or newer, '$(PYTHON)' is not: name one, as in make test PYTHON=python3.12" >&2; exit 1; }
	@rm -rf .venv
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv .venv; \
	    else $(PYTHON) -m venv --without-pip .venv && $(PYTHON) -m pip --python .venv/bin/python install --quiet pip; fi \
	    || { rm -rf .venv; exit 1; }

$(DEMO_FILES)/.unpacked: .venv/.has-annex,local
	@rm -rf $(DEMO_FILES)
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
	    --only-binary :all: --target $(DEMO_FILES) '$(DEMO_PACKAGE)'
	@touch $@
