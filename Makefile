# Nothing has to be installed first but a Python 3.11-3.13: every target makes its own environment in .venv.
.PHONY: demo test test-all check clean
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
EXTRAS ?= dev
RUN := OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

demo: .venv/installed
	.venv/bin/emu demo --out runs/demo

test: .venv/installed  # the fast tests, minutes on two cores
	$(RUN) -m "not slow"

test-all: .venv/installed
	$(RUN)

check: .venv/installed
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

.venv/installed: pyproject.toml
	@test -x .venv/bin/python || test -n "$(PYTHON)" || { echo "emu needs Python 3.11, 3.12 or 3.13 (with venv): make PYTHON=/path/to/python3.12 ..." >&2; exit 2; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf .venv runs
