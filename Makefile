# make repro: everything from nothing.  make test: all tests.  make check: the quick ones.
# JOBS=n: so many trainings at a time; by default as many as cores and memory allow. DEVICE=cpu or cuda: on that.
# GPUS=0,1: on these GPUs, a training on each. PER_GPU=4: so many share a GPU, and none of them is timed.
# CLUSTER=auto or ray://HOST:10001: trainings, of `make sweep` too, run on a cluster of Ray (docs/scale.md).
# make sweep: a grid of experiments.  make smoke: every stage on 40 scenes, in a folder of its own.
# make repeat: two runs, byte by byte.  make chaos: random kills and corruptions.  make cluster-check: a cluster of Ray.
PYTHON ?= python3
# an environment of your own, VENV=DIR, is used unchanged; .venv is made here and follows the requirements
VENV ?= .venv
READY := $(if $(filter .venv,$(VENV)),.venv/ready)
# no function of make takes a path with spaces
export PATH := $(if $(filter /%,$(VENV)),,$(CURDIR)/)$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# what leaks in: the repository of a Git hook, other places for packages; ROS and others set PYTHONPATH for their Python
unexport GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_PREFIX
unexport PYTHONHOME PYTHONSAFEPATH $(if $(READY),PYTHONPATH)
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON
export PIP_USER := 0

# an existing environment that fits keeps its Python, unless PYTHON is set
GIVEN := $(if $(filter command line environment,$(origin PYTHON)),remake)
# scripts of an environment name its folder: in a clone that was moved or copied it is made anew
MOVED = $(if $(subst x$(CURDIR),,x$(file <$(1)/ready)),remake)

# `make -j` and MAKEFLAGS=-j4: the environment comes before what runs in it
.NOTPARALLEL:

# the grid of `make sweep`, comma between values; 2 experiments at a time, or JOBS
LR ?= 1e-4,1e-5,1e-3
SCHEDULE ?= cosine,constant
# Git ignores pretrained weights: -C copies them into the queue
WEIGHTS := $(filter-out pretrained/README.md,$(wildcard pretrained/*))

REPRO = python -m pipeline repro $(JOBS:%=--jobs %) $(CLUSTER:%=--cluster %) $(if $(GPUS),--gpus "$(GPUS)") $(PER_GPU:%=--per-gpu %)
CORES = $$(python -c "from pipeline.core.cores import count_cores; print(count_cores())")

.PHONY: setup repro run sweep course full published test test-explore check lint smoke image image-check bench chaos repeat cluster-check identity remake

setup: $(READY)

repro: $(READY) run

# the main job, in an environment that has all packages
run:
	python -m pipeline params
	python -m pipeline data
	$(REPRO)
	@python -m pipeline results

# learning rate x schedule x every cell of the matrix, on top of the last run, in DVC's queue of experiments. Only stages
# that depend on the change run.
sweep: identity repro
	python -m pipeline sweep -S 'fusion.lr=$(LR)' -S 'fusion.schedule=$(SCHEDULE)' $(WEIGHTS:%=-C %) \
		--jobs $(or $(JOBS),2) $(CLUSTER:%=--cluster %)
	dvc exp show --no-pager --md --only-changed --keep 'accuracy|top1|zero_shot|tuned' \
		--drop '^(runs|data|pipe|stage)|Created|Exec|State' --sort-by val_loss
	@python -m pipeline best

identity:
	@sh scripts/require_git.sh

# presets/course.yaml, full.yaml and published.yaml name the data and the time they need; undo: git restore params.yaml
course full published: $(READY)
	python -m pipeline preset $@
	$(MAKE) run

# as many tests at a time as there are cores for this process, by affinity and by the quota of a container; then, one
# at a time, those that need exact clocks
test: $(READY) lint
	python -m pytest -n $(CORES) --dist worksteal -m "not alone"
	python -m pytest -m alone

# FiftyOne is an extra of several GB with an environment of its own; the tests of its App need Chromium and chromedriver
test-explore: .venv-explore/ready
	.venv-explore/bin/python -m pytest tests/explore

check: $(READY) lint
	python -m pytest -n $(CORES) --dist worksteal -m "not slow and not environment and not alone"

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy
	hadolint Dockerfile deploy/kuberay.Dockerfile
	shellcheck scripts/*.sh docker-entrypoint.sh deploy/*.sh deploy/*.sbatch

# data/ and runs/ stay as they are
smoke: $(READY)
	rm -rf .smoke && mkdir -p .smoke/.dvc
	cp -r pipeline stages pretrained dvc.yaml .dvcignore .smoke/
	python -m pipeline preset smoke --out .smoke/params.yaml
	cd .smoke && dvc config -q core.no_scm true && python -m pipeline simulate data --scenes 40 && dvc add -q data && $(REPRO)
	@cd .smoke && python -m pipeline results

# times beside the course's recipe, with a data set of its own; QUICK=1: three minutes, and no result is kept
bench: $(READY)
	python -m benchmarks.run --jobs $(or $(JOBS),$(CORES)) $(if $(QUICK),--quick)

# both in folders of their own; PRESET=smoke SCENES=40: a few minutes
repeat: $(READY)
	python -m scripts.repeat $(PRESET:%=--preset %) $(SCENES:%=--scenes %)

# 50 kills and 30 corruptions take an hour; ONLY=kill-17 repeats one of the trials of SEED
chaos: $(READY)
	python -m scripts.chaos $(SEED:%=--seed %) $(KILLS:%=--kills %) $(CORRUPTIONS:%=--corruptions %) $(ONLY:%=--only %)

# two nodes of Ray on this machine against `dvc repro`, byte by byte, then nodes and drivers killed KILLS times each
cluster-check: $(READY)
	python -m scripts.cluster $(PRESET:%=--preset %) $(SCENES:%=--scenes %) $(KILLS:%=--kills %)

# BUILD_FLAGS='--secret id=pip.conf,src=FILE': settings of pip for the build alone
image:
	docker build --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) $(BUILD_FLAGS) --tag rgb-lidar-cilp .

# without Docker, on a stand-in for the base image; needs root, buildah and mmdebstrap; BUILD_FLAGS as above
image-check: $(READY)
	python -m scripts.image_check

.venv/ready: requirements.txt requirements-hub.txt requirements-cluster.txt requirements-dev.txt constraints.txt $(GIVEN) $(call MOVED,.venv)
	@sh scripts/make_venv.sh "$(PYTHON)" .venv setup $(GIVEN)
	.venv/bin/pip install --quiet --constraint constraints.txt $(addprefix --requirement ,$(filter requirements%,$^))
	@pwd -P > $@

.venv-explore/ready: requirements.txt requirements-explore.txt requirements-explore-dev.txt constraints.txt constraints-explore.txt $(GIVEN) $(call MOVED,.venv-explore)
	@sh scripts/make_venv.sh "$(PYTHON)" .venv-explore test-explore $(GIVEN)
	.venv-explore/bin/pip install --quiet $(addprefix --constraint ,$(filter constraints%,$^)) $(addprefix --requirement ,$(filter requirements%,$^))
	@pwd -P > $@
