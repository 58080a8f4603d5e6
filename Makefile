# Each target sets up what it needs: a virtual environment with the locked dependencies, made once.
#   make demo [EXIT=1] [INPUTS=../shared/data]    the main job, end to end
#   make test [ARGS="-k merkle"]                  every test
#   make check                                    lint, types, layers, migrations
#   make bench [ONLY=append]                      figures, each beside a baseline of the same run
#   make lock                                     resolve the dependencies anew

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check bench lock wheel clean
.DEFAULT_GOAL := demo

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "oblik needs Python 3.11 or later: none of python3, python3.11 to python3.14 is." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "could not make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)
	@$(BIN)/oblik demo $(if $(EXIT),--exit) $(if $(INPUTS),--inputs $(INPUTS))

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/integration/test_migrations.py

bench: $(READY)
	@$(BIN)/python benchmarks/run.py $(ONLY)

wheel: $(READY)
	$(BIN)/python -m hatchling build -t wheel -d dist

lock: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-annotate -o requirements.lock

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
