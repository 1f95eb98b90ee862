# Every target sets up what it needs: `make test` works on a fresh clone.
#   make VENV=path       another location for the virtual environment
#   make PYTHON=path     another interpreter to create it with

VENV   ?= .venv
PYTHON ?= python3.11 python3.12 python3.13 python3

PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
PIP    := $(PY) -m pip --disable-pip-version-check
# One thread per worker: on two cores, two workers are faster this way than with one thread pool per core each.
PYTEST := TF_CPP_MIN_LOG_LEVEL=3 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1 \
          $(PY) -m pytest -n 2 --dist loadfile

SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# Leftovers of an interrupted pip, which writes INSTALLER after a package's files and sets old versions aside as ~name.
HALF_DONE := find $(VENV)/lib -maxdepth 3 \( -name '~*' -o -name '*.dist-info' ! -exec test -e '{}/INSTALLER' ';' \)

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-faults lint docs bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' $(firstword $(MAKEFILE_LIST)) | awk '{ name = $$1; $$1 = ""; printf "  make %-12s%s\n", name, $$0 }'

venv: $(STAMP)  ## create the virtual environment: pinned versions and the package itself, editable

# The stamp is written last, so the next call resumes a set-up that was interrupted. An environment that cannot run pip is
# recreated; --clear is only ever applied to a folder that venv itself created.
$(STAMP): requirements.txt pyproject.toml
	@interpreter=; clear=; \
	if ! $(PY) -c '$(SUPPORTED)' >/dev/null 2>&1 || ! $(PIP) --version >/dev/null 2>&1 || $(HALF_DONE) | grep -q /pip-; then \
	    for python in $(PYTHON); do \
	        if "$$python" -c '$(SUPPORTED)' >/dev/null 2>&1; then interpreter=$$python; break; fi; \
	    done; \
	    if [ -z "$$interpreter" ]; then \
	        echo "dlth_tf needs Python 3.11, 3.12 or 3.13 with its venv module; not found among: $(PYTHON)." >&2; exit 1; \
	    fi; \
	    if [ -e $(VENV)/pyvenv.cfg ]; then clear=--clear; fi; \
	    echo "creating $(VENV) with $$interpreter"; "$$interpreter" -m venv $$clear $(VENV); \
	fi
	@echo "installing into $(VENV) (takes minutes the first time)"
	@$(HALF_DONE) -exec rm -rf {} +
	@$(PIP) install -qq -r requirements.txt
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $@

demo: venv  ## run four methods on a small data set: an export of the transformed ticket, table, plots, verdict and report
	$(PY) -m dlth_tf.sweep --flagfile=flags/digits/demo.flags
	$(PY) -m dlth_tf.export --sweep_dir=runs/demo --method=rst --export_dir=saved_models/demo --overwrite
	$(PY) -m dlth_tf.report --sweep_dir=runs/demo

test: venv  ## run the fast tests
	$(PYTEST) -m "not slow and not faults" tests

# pytest exits with 5 if it collects nothing, which is not a failure: a kind of test may not exist yet.
marked = @$(PYTEST) --timeout=1800 -m $(1) tests; status=$$?; \
         if [ $$status = 5 ]; then echo "no test is marked $(1)"; else exit $$status; fi

test-slow: venv  ## run the tests that train long enough to judge results
	$(call marked,slow)

test-faults: venv  ## run the tests that kill real processes and corrupt real files, and the longest products
	$(call marked,faults)

lint: venv  ## check rules and format with ruff, types with mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy dlth_tf tests

docs: venv  ## build the documentation site in site/
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	@echo "the site is in site/; to serve it with search: $(PY) -m http.server --directory site"

bench: venv  ## run every benchmark, or those of ONLY="train_step masks", and write the tables to benchmarks/RESULTS.md
	$(PY) scripts/bench.py $(ONLY)

clean:  ## remove caches and build products; keep the environment, runs and exports
	rm -rf build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find dlth_tf tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
