# make repro: everything from nothing.  make test: all tests.  make check: the quick ones.
PYTHON ?= python3
# an environment of your own, VENV=DIR, is used as it is; ours is made and kept in step with the requirements
VENV ?= .venv
READY := $(if $(filter .venv,$(VENV)),.venv/ready)
export PATH := $(abspath $(VENV))/bin:$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: setup repro run test test-explore check lint smoke image

setup: $(READY)

repro: $(READY) run

# the main job, in an environment that has what it needs
run:
	python -m pipeline params
	python -m pipeline data
	dvc repro
	@echo "done: runs/report/report.md"

test: $(READY) lint
	python -m pytest

# FiftyOne is an extra of several GB with an environment of its own; the tests of its App need Chromium and chromedriver
test-explore: .venv-explore/ready
	.venv-explore/bin/python -m pytest tests/explore

check: $(READY) lint
	python -m pytest -m "not slow"

lint: $(READY)
	ruff check .
	ruff format --check .
	hadolint Dockerfile

# every stage on 40 scenes, in a folder of its own: data/ and runs/ stay as they are
smoke: $(READY)
	rm -rf .smoke && mkdir -p .smoke/.dvc
	cp -r pipeline stages pretrained dvc.yaml .dvcignore .smoke/
	cp smoke.yaml .smoke/params.yaml
	cd .smoke && dvc config -q core.no_scm true && python -m pipeline simulate data --scenes 40 && dvc add -q data && dvc repro

image:
	docker build --tag rgb-lidar-cilp .

.venv/ready: requirements.txt requirements-hub.txt requirements-dev.txt constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --requirement requirements-dev.txt --constraint constraints.txt
	@touch $@

.venv-explore/ready: requirements.txt requirements-explore.txt requirements-explore-dev.txt constraints.txt constraints-explore.txt
	$(PYTHON) -m venv .venv-explore
	.venv-explore/bin/pip install --quiet --requirement requirements-explore-dev.txt --constraint constraints.txt --constraint constraints-explore.txt
	@touch $@
