# make repro: everything from nothing.  make test: all tests.  make check: the quick ones.
PYTHON ?= python3
# an environment of your own, VENV=DIR, is used as it is; ours is made and kept in step with the requirements
VENV ?= .venv
READY := $(if $(filter .venv,$(VENV)),.venv/ready)
export PATH := $(abspath $(VENV))/bin:$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: setup repro run test check lint smoke image

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

.venv/ready: requirements.txt requirements-dev.txt constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --requirement requirements-dev.txt --constraint constraints.txt
	@touch $@
