# The first two targets are all that a newcomer needs: `make run` and `make test`.
.PHONY: run test coverage check bench hostile fuzz-scores killed-tasks broken-requests live-long soak random-bodies compatibility rolling-restarts
.PHONY: fit reference lock image-root clean
.PHONY: test-programs test-stored test-deploy test-imaging test-rest test-proven

# The newest Python that every dependency is known to run on, else whichever python3 is new enough.
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3 python3.14; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin

# Who gets in and what becomes an object is decided here: every branch of it is tested.
PROVEN := gateway/auth/*,gateway/body/*,gateway/credentials.py,gateway/request.py
PROVING := tests/auth tests/body tests/test_credentials.py tests/test_request.py

run: $(VENV)/.installed-demo
	@exec $(BIN)/gateway demo $(ARGS)

# The suite in parts, the longest first, two beside each other; each says what it did when it has ended.
# The real stores start once: what asks for RGW is one part.
STORED := tests/sdk tests/http $(addprefix tests/journeys/,test_integrity.py test_long_body.py test_multipart_stores.py)
PARTS := test-stored test-deploy test-imaging test-rest test-proven

test: $(VENV)/.installed-test
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target $(PARTS)
endif

# Debian's packages come before all that may ask for one: the image's test builds over this machine's own Debian.
test-stored test-deploy test-rest: test-programs
test-programs:
	$(BIN)/python -m tests.stores_up.debian

test-stored:
	$(BIN)/python -m pytest $(STORED)

test-deploy:
	$(BIN)/python -m pytest tests/deploy

test-imaging:
	$(BIN)/python -m pytest tests/imaging

# Tracing what runs takes as long again as running it: only the tests of what must be proven are traced.
test-proven:
	$(BIN)/python -m coverage run -m pytest $(PROVING)
	$(BIN)/python -m coverage report --skip-covered --fail-under=100 --include='$(PROVEN)'

test-rest:
	$(BIN)/python -m pytest $(addprefix --ignore=,$(STORED) tests/deploy tests/imaging $(PROVING))

# What the tests of everything run of everything; twice as slow.
coverage: $(VENV)/.installed-test
	$(BIN)/python -m coverage run -m pytest $(ARGS)
	$(BIN)/python -m coverage report --skip-covered --sort=cover

check: $(VENV)/.installed-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(VENV)/.installed-bench
	$(BIN)/python -m bench $(ARGS)

# Longer forms of some tests: 1,000 hostile files in a row, the scores of 10,000 fuzzed pictures, 1,000 promised analyses
# while gateways are killed, 10,000 broken requests to Cloudinary's API.
hostile: $(VENV)/.installed-test
	HOSTILE_FILES=1000 $(BIN)/python -m pytest -q tests/imaging/test_hostile.py $(ARGS)

fuzz-scores: $(VENV)/.installed-test
	FUZZED_IMAGES=10000 $(BIN)/python -m pytest -q tests/imaging/test_fuzz.py $(ARGS)

# Ten rolling restarts of two gateways behind HAProxy, under 50 downloads and wrk.
rolling-restarts: $(VENV)/.installed-test
	ROLLING_RESTARTS=10 $(BIN)/python -m pytest -q tests/deploy/test_rolling.py $(ARGS)

# Longer forms of tests on the real stores: every client's uploads, 200 awkward keys, and a larger file in small parts.
live-long: $(VENV)/.installed-test
	LIVE_LONG=1 $(BIN)/python -m pytest -q $(addprefix tests/sdk/test_live_,resume.py keys.py small_parts.py) $(ARGS)

# Everything at once on each real store, for two minutes.
soak: $(VENV)/.installed-test
	SOAK_SECONDS=120 $(BIN)/python -m pytest -q tests/http/test_soak.py $(ARGS)

# Answers of every framing and pace for clients of every pace, each byte compared, for three minutes.
random-bodies: $(VENV)/.installed-test
	RANDOM_BODIES_SECONDS=180 $(BIN)/python -m pytest -q tests/http/test_random_bodies.py $(ARGS)

killed-tasks: $(VENV)/.installed-test
	KILLED_TASKS=1000 $(BIN)/python -m pytest -q tests/journeys/test_tasks_killed.py $(ARGS)

broken-requests: $(VENV)/.installed-test
	MUTATED_REQUESTS=10000 $(BIN)/python -m pytest -q tests/journeys/test_cloud_mutations.py --timeout 1200 $(ARGS)

# Writes docs/compatibility.md anew: every client, every operation, every store that this machine can run.
compatibility: $(VENV)/.installed-test
	COMPATIBILITY=write $(BIN)/python -m pytest -q tests/sdk/test_compatibility.py $(ARGS)

# Writes docs/settings.md, errors.md and commands.md anew, from the code.
reference: $(VENV)/.installed-demo
	$(BIN)/python -m tools.reference_pages

# Rebuilds gateway/imaging/network.npz and model_report.json from the rated photos; one thread a process.
fit: $(VENV)/.installed-fit
	VIPS_CONCURRENCY=1 OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m tools.fit_quality $(ARGS)

# Pins what the container image is made of, by version and hash: to the newest releases that pyproject.toml allows.
lock: $(VENV)/.created
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/uv pip compile $(LOCK) --output-file requirements/gateway.txt pyproject.toml requirements/gateway.in
	$(BIN)/uv pip compile $(LOCK) --output-file requirements/build.txt requirements/build.in
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --system-certs

# The longer form of the image's test: its steps on a bare Debian instead of on top of this one. Needs root.
image-root: $(VENV)/.installed-test
	IMAGE_ROOT=clean $(BIN)/python -m pytest -q tests/deploy/test_image.py $(ARGS)

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

# Its peers are optional: a row says so where one is missing, and the next run tries again.
$(VENV)/.installed-bench: $(VENV)/.installed-test
	@command -v g++ >/dev/null || { test $$(id -u) = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends g++ >/dev/null; } || echo "brisque needs a C++ compiler." >&2
	@touch $@
	@for peer in cleanvision brisque; do \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench-$$peer]" || \
	  { echo "Going on without $$peer." >&2; rm -f $@; }; done

$(VENV)/.installed-check: $(VENV)/.created pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,test,check]'
	@touch $@ $(VENV)/.installed-test
