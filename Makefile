# Two commands do everything on a machine with Python 3.11 or newer, make and the package registries:
#
#   make demo    serves the demo at http://127.0.0.1:8000 (another port: make demo PORT=9000)
#   make test    installs what the tests need, runs the checks and every test
#
# The others are parts of `make test`, for daily work.

PORT = 8000
BENCH =

BIN = .venv/bin
PYTEST = $(BIN)/python -m pytest
SOAKING = tests/reliability tests/servers/test_crowds.py tests/servers/test_hostile_bytes.py
OUT_OF_PROCESS = tests/servers tests/frameworks tests/browser

.PHONY: demo test lint types format test-all test-core test-servers test-frameworks test-browser \
	soak mutants bench bench-peers clean

demo: .venv-demo/installed
	.venv-demo/bin/python -m asgi_ws_gateway.demo --port $(PORT)

test: lint types test-all
	@scripts/test-other-interpreters $(OUT_OF_PROCESS)

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: .venv/installed
	$(BIN)/mypy
	$(BIN)/pyright

format: .venv/installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test-all: .venv/installed
	scripts/install-chromium
	$(BIN)/coverage run -m pytest $(addprefix --ignore=,$(OUT_OF_PROCESS))
	$(BIN)/coverage report
	$(PYTEST) $(OUT_OF_PROCESS)

test-core: .venv/installed
	$(PYTEST) $(addprefix --ignore=,$(OUT_OF_PROCESS))

test-servers test-frameworks: test-%: .venv/installed
	$(PYTEST) tests/$*

test-browser: .venv/installed
	scripts/install-chromium
	$(PYTEST) tests/browser

# The long versions of the tests that have two, which write their figures into
# docs/reference/reliability.md, and ten minutes of coverage-guided fuzzing.
soak: .venv/installed
	$(BIN)/python -m pip install --quiet --group soak
	mkdir -p build
	$(BIN)/python tests/reliability/fuzz_decoder.py -max_total_time=600 -verbosity=0 \
	    -print_final_stats=1 -artifact_prefix=build/
	$(PYTEST) --soak --timeout=3600 $(SOAKING)

# Changes the decoder, the router, the outbox and the rooms in hundreds of ways, each of which some
# test should notice; lists those that none does.
mutants: .venv-mutants/installed
	.venv-mutants/bin/mutmut run
	.venv-mutants/bin/mutmut results

# What the gateway costs beside a loop written by hand, and beside others; see benchmarks/README.md.
# BENCH=--write puts the figures there.
bench: .venv/installed
	$(BIN)/python -m benchmarks.in_process $(BENCH)
	$(BIN)/python -m benchmarks.wire $(BENCH)

bench-peers: .venv/installed
	benchmarks/peers/install
	.venv-peers/bin/python -m benchmarks.peers $(BENCH)

# The virtual environments, made again whenever what they hold may have changed.

.venv/installed: pyproject.toml
	scripts/make-venv $(@D) any --group dev

.venv-demo/installed: pyproject.toml
	scripts/make-venv $(@D) any --group demo

.venv-3.%/installed: pyproject.toml
	scripts/make-venv $(@D) 3.$* --group test

.venv-mutants/installed: pyproject.toml
	scripts/make-venv $(@D) any --group test --group mutants

clean:
	rm -rf mutants .venv .venv-* build dist htmlcov .coverage* .hypothesis .import_linter_cache .*_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
