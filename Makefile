# The first two targets are all that a newcomer needs: `make run` and `make test`.
.PHONY: run test check bench hostile fuzz-scores fit clean

# The newest Python that every dependency is known to run on, else whichever python3 is new enough.
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3 python3.14; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin

# Who gets in and what becomes an object is decided here: every branch of it is tested.
PROVEN := gateway/auth/*,gateway/body/*,gateway/credentials.py,gateway/request.py

run: $(VENV)/.installed-demo
	@exec $(BIN)/gateway demo $(ARGS)

test: $(VENV)/.installed-test
	$(BIN)/python -m coverage run -m pytest $(ARGS)
	$(BIN)/python -m coverage report --skip-covered --sort=cover
	$(if $(ARGS),,$(BIN)/python -m coverage report --fail-under=100 --include='$(PROVEN)')

check: $(VENV)/.installed-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(VENV)/.installed-bench
	$(BIN)/python -m bench $(ARGS)

# Longer forms of two tests: 1,000 hostile files in a row, and the scores of 10,000 fuzzed pictures.
hostile: $(VENV)/.installed-test
	HOSTILE_FILES=1000 $(BIN)/python -m pytest -q tests/imaging/test_hostile.py $(ARGS)

fuzz-scores: $(VENV)/.installed-test
	FUZZED_IMAGES=10000 $(BIN)/python -m pytest -q tests/imaging/test_fuzz.py $(ARGS)

# Rebuilds gateway/imaging/network.npz and model_report.json from the rated photos; one thread a process.
fit: $(VENV)/.installed-fit
	VIPS_CONCURRENCY=1 OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m tools.fit_quality $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python cannot make virtual environments. Install what is missing with:" >&2; \
	  echo "  apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed-demo: $(VENV)/.created pyproject.toml
	@echo "Installing what the gateway needs (half a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.created pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,test]'
	@touch $@

$(VENV)/.installed-fit: $(VENV)/.created pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fit]'
	@touch $@

# Its peers are optional: a row says so where one is missing.
$(VENV)/.installed-bench: $(VENV)/.installed-test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]' || \
	  echo "Going on without the peers that were to be compared (brisque needs a C++ compiler)." >&2
	@touch $@

$(VENV)/.installed-check: $(VENV)/.created pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,test,check]'
	@touch $@
