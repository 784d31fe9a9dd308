# Everything runs inside .venv, which the first command makes; PYTHON chooses the interpreter it is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REFERENCE := bytemill bytemill._core bytemill.data bytemill.data.loader bytemill.model bytemill.model.lora bytemill.inference bytemill.errors \
	$(addprefix bytemill.train.,config loop task) $(addprefix bytemill.tasks.,pretrain tuning classify preference) \
	$(addprefix bytemill.evaluate.,loss hellaswag matrix prompts judge)
SOURCES := pyproject.toml Cargo.toml Cargo.lock $(wildcard rust/bytemill*/Cargo.toml) $(shell find rust -name '*.rs')

.PHONY: help setup demo test test-long check format bench docs wheel clean
.DEFAULT_GOAL := help

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed ## make .venv with bytemill in it

demo: $(VENV)/.installed ## raw text to a fine-tuned GPT-2 on this machine: report in runs/demo/report.html
	$(BIN)/bytemill demo

test: $(VENV)/.developing ## every test but the long ones
	cargo test --quiet
	$(BIN)/python -m pytest -n 2 -m "not long"

test-long: $(VENV)/.developing ## the large counts of the reliability table: hours, by hand
	cargo test --release -- --include-ignored
	$(BIN)/python -m pytest

check: $(VENV)/.developing ## formatting, lints, types, the stub against the module, layers of imports
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --no-deps --package bytemill
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
	rm -rf $(VENV) build dist target python/bytemill/_core*.so

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python $(SOURCES)
	@echo "Installing torch and others and compiling the core into $(VENV): some minutes, the first time."
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.developing: $(VENV)/bin/python $(SOURCES)
	@echo "Installing torch, what the tests need, and compiling the core into $(VENV): some minutes, the first time."
	$(BIN)/pip install --quiet --editable '.[dev,hf]'
	$(BIN)/pip install --quiet --no-deps microformer-mgm  # a small trained GPT-2: tests read its weights
	@touch $@ $(VENV)/.installed
