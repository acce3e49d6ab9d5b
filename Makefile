# `make` lists the targets. Everything is made inside .venv/, but for the Pulumi CLI, which is
# taken from PATH or else built once under ~/.cache (see tools/pulumi_cli.py).

PYTHON = python3
VENV = .venv
BIN = $(VENV)/bin

# What a target runs, it finds as a user does: the virtual environment first on PATH, then pulumi.
PULUMI_BIN = $$($(BIN)/python tools/pulumi_cli.py)
WITH_PULUMI = pulumi=$(PULUMI_BIN) && PATH="$$PWD/$(BIN):$$pulumi:$$PATH"

PIP = $(BIN)/python -m pip --disable-pip-version-check --no-input -q

# Such as `make unit ARGS="-k token -x"`.
ARGS =

# A Python 3.10 or 3.11 for `make spark`, where $(PYTHON) is another, such as python3.11.
SPARK_PYTHON =
# Of `make demo`: 3 or 3.5. Left empty, it is 3.5 where `make spark` has run.
ENGINE =

# For examples/policy-as-code. It wants an older protobuf than the lock file has, and works with that.
POLICY = pulumi-policy==1.21.0

.PHONY: help setup engine spark demo test test-oldest test-newest contract properties fault-matrix lint format types unit sdks bench bench-plugin docs dist constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/installed ## create .venv and install what the project needs

# The lock file holds everything, so pip need not resolve anything: a third of the time. The last
# line adds the package itself, and fails where pyproject.toml asks for what the lock file lacks.
$(VENV)/installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on PATH: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
	  f"Python 3.10 or newer is needed, {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.12")'
	@echo "Installing into $(VENV), which takes about a minute the first time..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip
	@$(PIP) install --no-compile --no-deps -r constraints.txt
	@$(PIP) install --no-compile -c constraints.txt -e '.[aws,cli,clients,docs,emulator,dev]'
	@$(PIP) install --no-compile --no-deps $(POLICY)
	@touch $@

engine: setup ## find the Pulumi CLI on PATH, or build it once (about 5 minutes)
	@pulumi=$(PULUMI_BIN) && echo "Pulumi CLI: $$pulumi"

spark: setup ## install Spark 3.5 into .venv-spark, for sessions that run Spark (1 to 3 minutes, 750 MB)
	@$(BIN)/python tools/spark_setup.py $(if $(SPARK_PYTHON),--python $(SPARK_PYTHON))

demo: setup $(if $(filter 3.5,$(ENGINE)),spark) ## start a session on a local emulator with `pulumi up`, use it, and end it again
	@$(WITH_PULUMI) exec $(BIN)/python tools/demo.py $(if $(ENGINE),--engine $(ENGINE))

test: setup spark lint types ## lint, type check and run every test
	@$(WITH_PULUMI) exec $(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

# What public sources say of Athena, tried on AWS: docs/contract.md says what it costs and writes.
CONTRACT = --work-group '$(WORK_GROUP)' --region '$(REGION)' $(if $(PROFILE),--profile '$(PROFILE)') \
  $(if $(YES),--yes) $(if $(ENDPOINT_URL),--endpoint-url '$(ENDPOINT_URL)') \
  $(if $(PAGE),--page '$(PAGE)') $(if $(PAGE_ONLY),--page-only) $(if $(ONLY),--only $(ONLY))

contract: setup ## try the contract on AWS: WORK_GROUP=... REGION=... [PROFILE=...] [YES=1] [ONLY=...]
	@cd tests && exec ../$(BIN)/python -m contract $(CONTRACT)

lint: setup ## check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: setup ## put the code into its form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: setup ## check types
	$(BIN)/mypy

properties: setup ## run the random tests with fresh seeds and many more examples (some minutes)
	PROPERTY_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/python -m pytest -n 2 $(ARGS) \
	  tests/unit/test_lifecycle_properties.py tests/unit/test_check_fuzz.py \
	  tests/unit/test_ownership.py tests/unit/test_provider_fuzz.py

fault-matrix: setup ## run the fault matrix and write docs/fault-matrix.md anew (about an hour)
	@rm -rf .fault-matrix
	@$(WITH_PULUMI) FAULT_MATRIX_DIR=.fault-matrix $(BIN)/python -m pytest -n 2 -m engine \
	  tests/engine/test_faults.py tests/engine/test_interruptions.py tests/engine/test_leftovers.py \
	  --deselect tests/engine/test_faults.py::test_the_page_has_every_cell
	@$(BIN)/python tests/fault_matrix.py .fault-matrix && rm -rf .fault-matrix

# The core of the engine's tests, with the oldest SDKs that pyproject.toml allows and the newest.
OLDEST = $$(sed -nE 's/^ *"(pulumi|boto3)>=([0-9.]+),.*/\1==\2/p' pyproject.toml)
NEWEST = pulumi boto3

test-oldest: setup ## run the core of the tests with the oldest pulumi and boto3 that are supported
	$(call core,.venv-oldest,$(OLDEST))

test-newest: setup ## run the core of the tests with the newest pulumi and boto3
	$(call core,.venv-newest,$(NEWEST))

define core
	@test -d $(1) || $(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip --disable-pip-version-check --no-input -q install --upgrade \
	  -e '.[emulator]' pytest pyyaml $(2)
	@$(1)/bin/python -m pip list | grep -E '^(pulumi|boto3|grpcio|protobuf) '
	@pulumi=$(PULUMI_BIN) && PATH="$$PWD/$(1)/bin:$$pulumi:$$PATH" \
	  $(1)/bin/python -m pytest tests/engine/test_session.py tests/engine/test_host.py \
	  tests/unit/test_plugin.py tests/engine/test_plugin.py $(ARGS)
endef

sdks: setup ## write the TypeScript, Go and .NET SDKs of the plugin into build/sdks
	@$(BIN)/python tools/language_tools.py sdks build/sdks && echo "SDKs: build/sdks"

unit: setup ## run the fast tests, which need no Pulumi CLI
	$(BIN)/python -m pytest -m "not engine and not docs" $(ARGS)

bench: setup ## measure how long a `pulumi up` takes
	@$(WITH_PULUMI) exec $(BIN)/python benchmarks/scale.py $(ARGS)

bench-plugin: setup ## measure many sessions through the plugin
	@$(WITH_PULUMI) exec $(BIN)/python benchmarks/plugin.py $(ARGS)

docs: setup ## build the documentation into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: setup ## build the wheel and the source distribution into dist/
	rm -rf dist
	$(BIN)/python -m build

constraints: ## resolve constraints.txt anew
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install uv
	@{ sed -n '/^#/p' constraints.txt; \
	   $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.10 --no-header --no-annotate \
	     --no-emit-index-url --extra aws --extra cli --extra clients \
	     --extra docs --extra emulator --extra dev pyproject.toml; } \
	 > $(VENV)/constraints && cat $(VENV)/constraints > constraints.txt

clean: ## remove .venv and what the tools left behind
	rm -rf $(VENV) .venv-oldest .venv-newest .venv-spark .fault-matrix build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
