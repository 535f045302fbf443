# Two commands do everything: `make serve` runs the stub, `make test` passes the tests.
# Each sets up what it needs under .venv/; nothing else on the machine is touched.

VERSIONS := 3.11 3.12 3.13

# Where a Python of a version is: on PATH, or among pyenv's.
find = $(firstword $(foreach python,python$(1) $(lastword $(sort $(wildcard \
	$(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/$(1).*/bin/python$(1)))),$(shell \
	$(python) -c 'import ensurepip, venv' 2>/dev/null && echo $(python))))
FOUND := $(foreach version,$(VERSIONS),$(if $(call find,$(version)),$(version)))
# Development uses the first; a machine whose Pythons have no version in their name, its python3.
MAIN := $(or $(firstword $(FOUND)),python3)
ALL := $(or $(FOUND),python3)
LAST := $(lastword $(ALL))
python_of = $(if $(filter python3,$(1)),python3,$(call find,$(1)))

BIN := .venv/$(MAIN)/bin
ARGS ?=

# Made on the way to something else, and worth keeping.
.PRECIOUS: .venv/%/ready .venv/clients-%/ready

.PHONY: serve test check environments format lint types docs wheel clients fuzz fuzz-quick soak soak-quick bench clean

serve: .venv/serve/ready
	.venv/serve/bin/fake-oauth serve $(ARGS)

test: .venv/$(MAIN)/ready
	$(BIN)/python -m pytest $(ARGS)

# What a browser and curl do is the same with every version.
ALIKE := --ignore=tests/test_browser.py --ignore=tests/test_console_page.py --ignore=tests/test_snippets.py
OTHER := $(filter-out $(MAIN),$(LAST))

# Side by side: the environments, and the gates that use one processor each. One after the other: the
# tests, which use all of them, and the soak, which measures. The tests run with the first and the
# last Python; `make test-3.12` runs them with another.
check:
	$(MAKE) --no-print-directory -j4 environments
	$(MAKE) --no-print-directory lint types coverage-$(MAIN)
	$(if $(OTHER),$(MAKE) --no-print-directory test-$(OTHER) ARGS="$(ALIKE)")
	$(MAKE) --no-print-directory -j2 -Otarget docs wheel clients fuzz-quick
	$(MAKE) --no-print-directory soak-quick

environments: $(patsubst %,.venv/%/ready,$(sort $(MAIN) $(LAST)) docs fuzz clients-$(LAST)) tests/clients/node_modules/ready

format: .venv/$(MAIN)/ready
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: .venv/$(MAIN)/ready
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: .venv/$(MAIN)/ready
	$(BIN)/mypy

# The manual as a site. The sources are the repository, so that links out of docs/ lead somewhere.
docs: .venv/docs/ready
	@rm -rf build/docs
	.venv/docs/bin/python -m sphinx -q -W --keep-going -n -c docs . build/docs
	.venv/docs/bin/python -m pytest -q -c tests/site/pytest.ini tests/site

coverage-%: .venv/%/ready
	.venv/$*/bin/coverage erase
	.venv/$*/bin/coverage run -m pytest -q -n auto
	.venv/$*/bin/coverage combine -q
	.venv/$*/bin/coverage report

# Coverage is the same with every version, and costs half as much time again.
test-%: .venv/%/ready
	.venv/$*/bin/python -m pytest -q -n auto $(ARGS)

# The wheel as its users get it: built, installed where nothing else is, and tried.
wheel: .venv/$(MAIN)/ready
	rm -rf dist .venv/wheel
	$(BIN)/python -m pip wheel -q --no-deps -w dist .
	$(call python_of,$(MAIN)) -m venv .venv/wheel
	.venv/wheel/bin/python -m pip install -q "$$(ls $(CURDIR)/dist/*.whl)[pytest]"
	.venv/wheel/bin/python -I -m pytest -q -c tests/wheel/pytest.ini tests/wheel/test_wheel.py
	.venv/wheel/bin/python -m pip install -q "$$(ls $(CURDIR)/dist/*.whl)[check,pytest]"
	.venv/wheel/bin/python -I -m pytest -q -c tests/wheel/pytest.ini tests/wheel/test_contract.py
	.venv/wheel/bin/python -I -m pytest -q -c tests/wheel/pytest.ini tests/wheel/test_container.py

# Clients that others wrote, unmodified; those whose tools are missing are skipped.
clients: clients-$(LAST)

clients-%: .venv/clients-%/ready tests/clients/node_modules/ready
	.venv/clients-$*/bin/python -m pytest -q -c tests/clients/pytest.ini -n auto tests/clients $(ARGS)

# What its own description allows, and what it does not, thrown at it.
fuzz: .venv/fuzz/ready
	.venv/fuzz/bin/python fuzz/run.py $(ARGS)

fuzz-quick: .venv/fuzz/ready
	.venv/fuzz/bin/python fuzz/run.py --examples 25 --seed 1

# Everything at once: fuzzed bytes, faults, races, resets, forks, and starts and stops.
soak: .venv/$(MAIN)/ready
	$(BIN)/python soak/main.py $(ARGS)

soak-quick: .venv/$(MAIN)/ready
	$(BIN)/python soak/main.py --seconds 60

bench: .venv/$(MAIN)/ready
	$(BIN)/python benchmarks/bench.py $(ARGS)

# The server needs nothing of what the tests need.
.venv/serve/ready: pyproject.toml
	@echo "setting up .venv/serve (once)"
	@rm -rf .venv/serve
	@$(call python_of,$(MAIN)) -m venv .venv/serve
	@.venv/serve/bin/python -m pip install -q --disable-pip-version-check -e '.[tls]'
	@touch $@

.venv/docs/ready: pyproject.toml
	@echo "setting up .venv/docs (once)"
	@rm -rf .venv/docs
	@$(call python_of,$(MAIN)) -m venv .venv/docs
	@.venv/docs/bin/python -m pip install -q --disable-pip-version-check -e '.[docs]'
	@touch $@

# schemathesis has plugins and pins of its own, which the tests are better off without.
.venv/fuzz/ready: pyproject.toml
	@echo "setting up .venv/fuzz (once)"
	@rm -rf .venv/fuzz
	@$(call python_of,$(MAIN)) -m venv .venv/fuzz
	@.venv/fuzz/bin/python -m pip install -q --disable-pip-version-check -e . 'schemathesis>=4.3'
	@touch $@

# The versions that docs/reference/clients.md names, without the tools of development.
.venv/clients-%/ready: pyproject.toml tests/clients/requirements.txt
	@echo "setting up .venv/clients-$* (once)"
	@rm -rf .venv/clients-$*
	@$(call python_of,$*) -m venv .venv/clients-$*
	@.venv/clients-$*/bin/python -m pip install -q --disable-pip-version-check -e '.[tls]' \
		-r tests/clients/requirements.txt
	@touch $@

# Without npm there is nothing to install, and the next run looks again.
tests/clients/node_modules/ready: tests/clients/package-lock.json
	@if command -v npm >/dev/null; then \
		cd tests/clients && npm ci --ignore-scripts --no-audit --no-fund --silent && touch node_modules/ready; \
	else echo "no npm: the clients of Node are skipped"; fi

.venv/%/ready: pyproject.toml
	@echo "setting up .venv/$* (once)"
	@rm -rf .venv/$*
	@$(call python_of,$*) -m venv .venv/$*
	@.venv/$*/bin/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv .bench .schemathesis dist build tests/clients/node_modules
