# Taskyard. "make" alone lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
BOOTSTRAP := $(PYTHON) -I project/bootstrap.py
RUN := $(VENV)/requirements.stamp
DEV := $(VENV)/requirements-dev.stamp
APPS := project routing notifications reporting
SOURCES := $(APPS) tests benchmarks
MESSAGES := --all --no-location --no-wrap --no-obsolete --verbosity 0
# What reports as PDF are drawn with.
PDF_PACKAGES := libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core
# libatomic1 is for Playwright's driver; systemd for systemd-analyze and prometheus for promtool, which look at deploy/;
# gettext for what collects the texts to be translated.
TEST_PACKAGES := rabbitmq-server postgresql pgbouncer chromium libatomic1 systemd prometheus gettext $(PDF_PACKAGES)
CHAOS_PACKAGES := rabbitmq-server postgresql

# make chaos: how long, which decisions (at random if left out), and on what.
SECONDS ?= 60
soak: SECONDS := $(if $(filter file,$(origin SECONDS)),3600,$(SECONDS))
SEED ?=
NODES ?= 1
DATABASE ?= postgresql
RATE ?=
SETTLE_WITHIN ?= 90
EVERY ?= 60

# Where production differs from a laptop, for Django's own deployment checks.
DEPLOYED := SITE_URL=https://taskyard.example.com SECRET_KEY=$$(head -c 48 /dev/urandom | base64 -w 0)

.DEFAULT_GOAL := help
.PHONY: help up demo test chaos chaos-deploys chaos-selftest prove-schedule bench bench-quick bench-relay \
	bench-retention bench-report bench-notifications bench-console soak ci format format-check lint types contracts checks lock \
	flower pdf messages clean python

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Running --------------------------------------------------------------------------------------------------------

up demo: export STARTED_AT := $(shell date +%s.%N)

up: $(RUN)  ## Start everything on this machine, and stop it with Ctrl-C
	@exec $(PY) manage.py up

demo: $(RUN)  ## Start, send a sample through every queue, show the outcomes, stop
	@exec $(PY) manage.py up --demo

flower: $(RUN)  ## Watch the workers in Celery's Flower, at http://localhost:5555
	@exec $(PY) -m celery -A project flower --address=127.0.0.1

pdf:  ## Install the system's libraries that reports as PDF are drawn with
	@$(BOOTSTRAP) packages $(PDF_PACKAGES)

# --- Proving --------------------------------------------------------------------------------------------------------

ci: format-check lint types contracts checks test  ## Everything that CI runs

test: $(DEV)  ## Run the tests on PostgreSQL and on SQLite; PYTEST_ARGS goes to pytest
	@$(BOOTSTRAP) packages --optional $(TEST_PACKAGES)
	@exec $(PY) -m tests.both_databases $(PYTEST_ARGS)

chaos: $(DEV)  ## Kill everything at random, and judge: SECONDS= SEED= NODES= DATABASE=
	@$(BOOTSTRAP) packages --optional $(CHAOS_PACKAGES)
	@exec $(PY) -m tests.chaos --seconds $(SECONDS) --seed "$(SEED)" --nodes $(NODES) --database $(DATABASE) --rate "$(RATE)" --settle-within $(SETTLE_WITHIN)

chaos-deploys: $(DEV)  ## Restart everything every EVERY=60 seconds under load, old and new code together, and judge
	@$(BOOTSTRAP) packages --optional $(CHAOS_PACKAGES)
	@exec $(PY) -m tests.chaos --deploy-every $(EVERY) --seconds $(SECONDS) --seed "$(SEED)" --rate "$(RATE)" --folder build/chaos-deploys

chaos-selftest: $(DEV)  ## Break the settlement on purpose, and see the loss reported
	@$(BOOTSTRAP) packages --optional $(CHAOS_PACKAGES)
	@exec $(PY) -m tests.chaos --selftest --seconds 20 --settle-within 15 --folder build/chaos-selftest

prove-schedule: $(DEV)  ## Each due time once: beats under attack, moved clocks, Debian's cron; FULL=1 for every zone and year
	@$(BOOTSTRAP) packages --optional $(CHAOS_PACKAGES)
	@exec $(PY) -m tests.prove_schedule $(if $(FULL),--full) $(if $(SEED),--seed $(SEED)) \
		$(if $(filter command,$(origin SECONDS)),--seconds $(SECONDS))

bench-relay: $(DEV)  ## Measure enqueueing and the relay, with services of its own; BENCH_ARGS=--quick for a minute
	@$(BOOTSTRAP) packages --optional rabbitmq-server postgresql
	@exec $(PY) -m benchmarks.relay $(BENCH_ARGS)

bench-retention: $(DEV)  ## Remove a million old results beside a busy pipeline, and with stock Celery; ten minutes
	@$(BOOTSTRAP) packages --optional rabbitmq-server postgresql
	@exec $(PY) -m benchmarks.retention $(BENCH_ARGS)

bench-report: $(DEV)  ## The weekly report over ten million results, from their roll-ups, in under a second
	@$(BOOTSTRAP) packages --optional rabbitmq-server postgresql
	@exec $(PY) -m benchmarks.report $(BENCH_ARGS)

bench-notifications: $(DEV)  ## WHAT=mails, beside send_mail and stock Celery; storing; or pages. COUNT=, ROUNDS=, ROWS=
	@$(BOOTSTRAP) packages --optional rabbitmq-server postgresql
	@exec $(PY) -m benchmarks.notifications $(or $(WHAT),mails) $(if $(COUNT),--count $(COUNT)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ROWS),--rows $(ROWS))

bench-console: $(DEV)  ## The admin's pages of results at ROWS=10000000, beside django-celery-results' own; half an hour
	@$(BOOTSTRAP) packages --optional rabbitmq-server postgresql
	@exec $(PY) -m benchmarks.console --rows $(or $(ROWS),10000000)

soak: $(DEV)  ## An hour of load, ten minutes beside an open transaction: does anything grow? SECONDS=3600 RATE=25
	@$(BOOTSTRAP) packages --optional rabbitmq-server postgresql
	@exec $(PY) -m benchmarks.soak --seconds $(SECONDS) --rate $(or $(RATE),25)

bench: $(DEV)  ## Measure it beside stock Celery, about 20 minutes; BENCH_ARGS as --help tells
	@$(BOOTSTRAP) packages --optional rabbitmq-server postgresql
	@exec $(PY) -m benchmarks.compare $(BENCH_ARGS)

bench-quick: $(DEV)  ## The same in under two minutes, once
	@$(BOOTSTRAP) packages --optional rabbitmq-server postgresql
	@exec $(PY) -m benchmarks.compare --quick $(BENCH_ARGS)

format: $(DEV)  ## Format the code
	@$(PY) -m ruff format $(SOURCES) manage.py
	@$(PY) -m ruff check --fix $(SOURCES) manage.py

format-check: $(DEV)
	@$(PY) -m ruff format --check $(SOURCES) manage.py

lint: $(DEV)  ## Look for mistakes
	@$(PY) -m ruff check $(SOURCES) manage.py

types: $(DEV)  ## Check the types, strictly
	@$(PY) -m mypy $(SOURCES)

contracts: $(DEV)
	@$(VENV)/bin/lint-imports

checks: $(DEV)
	@$(DEPLOYED) $(PY) manage.py check --deploy --fail-level WARNING
	@$(PY) manage.py makemigrations --check --dry-run

# --- Keeping --------------------------------------------------------------------------------------------------------

LOCK := uv pip compile setup.cfg --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

EXTRAS := --extra flower --extra providers --extra pdf --extra xlsx --extra chat --extra otel

lock: $(DEV)  ## Pin the newest versions that setup.cfg allows
	@$(VENV)/bin/$(LOCK) --upgrade $(EXTRAS) -o requirements.lock
	@$(VENV)/bin/$(LOCK) --upgrade $(EXTRAS) --extra test --extra dev -c requirements.lock -o requirements-dev.lock

messages: $(DEV)  ## Collect the texts to be translated into each app's locale/, and compile what is translated
	@$(BOOTSTRAP) packages gettext
	@for app in $(APPS); do (cd $$app && $(abspath $(PY)) -m django makemessages $(MESSAGES) && \
		sed -i '/^"POT-Creation-Date:/d' locale/*/LC_MESSAGES/django.po && \
		$(abspath $(PY)) -m django compilemessages --verbosity 0); done

clean:  ## Remove what can be made again: caches, builds and .venv; var/ stays
	@rm -rf .venv build dist ./*.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/%.stamp: %.lock | python
	@$(BOOTSTRAP) venv $(VENV) $<

python:
	@command -v $(PYTHON) > /dev/null || { \
		echo "$(PYTHON) is missing. Install it (Debian: apt-get install python3), or name one: make PYTHON=/path" >&2; exit 1; }
