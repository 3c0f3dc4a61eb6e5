# Two commands of the README, `make test` and `make demo`, and those of a developer. Each makes
# its own .venv with the machine's python3; another one: make PYTHON=/path/to/python3.12 test

PYTHON ?= python3
BIN = .venv/bin

define CHECK_PYTHON
import sys
if sys.version_info < (3, 11):
    sys.exit(
        "$(PYTHON) is %d.%d; django-totp needs Python 3.11 or newer: "
        "run make PYTHON=/path/to/python3.12 $(or $(MAKECMDGOALS),test)" % sys.version_info[:2]
    )
endef
export CHECK_PYTHON

.PHONY: test demo lint docs matrix proof mutation dist messages clean

# The tests on each database that answers, and in the browser where there is one.
test: .venv/test
	$(BIN)/python -m tests.run

# The example, to try everything in a browser. At another port: make demo PORT=8010
demo: PORT ?= 8000
demo: .venv/demo
	$(BIN)/python example/demo.py "$(PORT)"

# Style, types, and which module may import which.
lint: .venv/lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The docs as a site, in site/. To read it while you write: .venv/bin/mkdocs serve
docs: .venv/docs
	$(BIN)/mkdocs build --strict --clean

# All versions of Python, Django and the rest that are promised.
matrix: .venv/matrix
	$(BIN)/nox

# Attacks on real servers: docs/proof.md. A part of it: make proof OPTIONS=--quick
proof: .venv/proof
	$(BIN)/python -m proof $(OPTIONS)

# Small changes of the code, each of which must fail a test: docs/mutation.md
mutation: .venv/mutation
	$(BIN)/python -m proof.mutation $(OPTIONS)

# The wheel and the sdist, checked: what a release uploads. See CONTRIBUTING.md.
dist: .venv/dist
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*
	$(BIN)/python tests/distributions.py dist

# The catalogues of all languages, after a sentence has changed (needs GNU gettext).
messages: .venv/test
	cd src/django_totp && $(CURDIR)/$(BIN)/django-admin makemessages \
		--all --no-wrap --no-obsolete --add-location=file
	cd src/django_totp && $(CURDIR)/$(BIN)/django-admin compilemessages

clean:
	rm -rf .venv .nox build dist site .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamp of a dependency group: made again when pyproject.toml changes.
.venv/test: GROUPS = --group test --group browser
.venv/demo: GROUPS = --group demo
.venv/lint: GROUPS = --group lint
.venv/docs: GROUPS = --group docs
.venv/matrix: GROUPS = --group matrix
.venv/proof: GROUPS = --group proof
.venv/mutation: GROUPS = --group mutation
.venv/dist: GROUPS = --group dist
.venv/test .venv/demo .venv/lint .venv/docs .venv/matrix .venv/proof .venv/mutation .venv/dist: pyproject.toml | .venv
	@echo "Installing what 'make $(@F)' needs into .venv. This may take a minute ..."
	$(BIN)/python -m pip install --quiet --editable . $(GROUPS)
	touch $@

.venv:
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@echo "Making .venv, and bringing its pip up to date ..."
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" || { rm -rf .venv; exit 1; }
