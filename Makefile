# Taskyard. "make" alone lists what there is.

VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help up demo test ci lint types lock

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
