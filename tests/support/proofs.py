"""How each command of the pages is proved to work."""

from typing import NamedTuple

SCENES = 10  # of the small folder


class Run(NamedTuple):
    """Proved here: the command runs in a small folder of its own and prints `output`."""

    output: str = ""
    before: str = "true"  # a command that makes the state which the page assumes
    smaller: tuple[str, str] = ("", "")  # a part of the command, and what a quick run puts in its place


class Make(NamedTuple):
    """Proved here: make knows the goal and would run `output`."""

    output: str


class Help(NamedTuple):
    """Proved here: the module starts and knows every option."""


class ProvedBy(NamedTuple):
    """Proved by the test function `name`."""

    name: str


class Marked(NamedTuple):
    """Not proved: the line names what the command needs or how long it takes."""


LAB = 'docker run --rm --init --gpus all --user "$(id -u):$(id -g)" -v "$PWD":/workspace rgb-lidar-cilp'
ABSENT = "rm -r data"
PREDICTED = ProvedBy("test_predict_repeats_evaluate_and_survives_a_broken_file")
COMPARED = ProvedBy("test_metrics_and_plots_compare_two_revisions")
QUEUED = ProvedBy("test_a_queue_of_experiments_is_run_listed_compared_and_judged")
EXP_SHOW = "dvc exp show --only-changed --keep 'accuracy|top1|zero_shot|tuned' "
EXP_SHOW += "--drop '^(runs|data|pipe|lead|val_|Cre|Exec|[Ss]ta)'"
DIAGNOSED = ProvedBy("test_every_check_is_made_and_leaves_nothing_beside_dvcs_own_folder")
IMPORT = "python -m pipeline import ~/Downloads/assessment.zip data"
PROOFS: dict[str, Run | Make | Help | ProvedBy | Marked] = {
    # set up and run
    "make setup": Make("python -m pip|scripts/make_venv.sh|Nothing to be done"),
    "make repro": Make("python -m pipeline repro *\n"),
    "make repro JOBS=4": Make("python -m pipeline repro --jobs 4"),
    "make repro GPUS=0,2": Make('python -m pipeline repro *--gpus "0,2"'),
    "make repro PER_GPU=4": Make("python -m pipeline repro *--per-gpu 4"),
    "make repro CLUSTER=auto": Make("python -m pipeline repro *--cluster auto"),
    "make repro CLUSTER=HOST:6379": Make("python -m pipeline repro *--cluster HOST:6379"),
    "make repro CLUSTER=ray://HOST:10001": Make("python -m pipeline repro *--cluster ray://HOST:10001"),
    "make cluster-check": Make("python -m scripts.cluster"),
    "ray start --head --port=6379": Marked(),
    "ray start --address=HOST:6379": Marked(),
    "ray stop": Marked(),
    "make lint": Make("mypy"),
    "make check": Make('-m "not slow'),
    "make test": Make("python -m pytest"),
    "make course": Make("pipeline preset course(.|\n)*pipeline repro"),
    "make sweep": Make("python -m pipeline sweep"),
    "make sweep LR=1e-4,1e-3 SCHEDULE=cosine JOBS=4": Make("fusion.lr=1e-4,1e-3' -S 'fusion.schedule=cosine'(.|\n)*4"),
    "make sweep CLUSTER=auto": Make("python -m pipeline sweep(.|\n)*--jobs 2 --cluster auto"),
    "source .venv/bin/activate": ProvedBy("test_an_environment_is_made_and_kept"),
    "pre-commit install": Marked(),
    "pip install -r requirements-hub.txt -c constraints.txt": Marked(),
    "pip install -r requirements-cluster.txt -c constraints.txt": Marked(),
    "pip install -r requirements-explore.txt -c constraints.txt -c constraints-explore.txt": Marked(),
    "python -m pipeline doctor": DIAGNOSED,
    "python -m pipeline doctor --json": DIAGNOSED,
    # data
    "mv data ~/simulated-data": Run(),
    IMPORT: Run(f"{2 * SCENES} pairs", ABSENT),
    f"{IMPORT} --scenes 1000": Run("4 pairs", ABSENT, ("1000", "2")),
    f"{IMPORT} --skip": Run(f"{2 * SCENES} pairs", ABSENT),
    "python -m pipeline check data": Run(f"{2 * SCENES} pairs"),
    "python -m pipeline check data --json": Run('"pairs"'),
    "python -m pipeline simulate data --scenes 1000 --seed 0": Run("3 scenes", ABSENT, ("1000", "3")),
    "python -m pipeline data": ProvedBy("test_an_absent_data_set_is_simulated_as_pinned"),
    "python -m pipeline explore data --checkpoint runs/classify/full/models/seed0.safetensors": Marked(),
    "python -m pipeline explore data --export set": Marked(),
    "dvc add data": Run(before="rm data.dvc"),
    # nets
    "NET=runs/classify/full/models/seed0.safetensors": ProvedBy(
        "test_predict_repeats_evaluate_and_survives_a_broken_file"
    ),
    "python -m pipeline predict --checkpoint $NET data/cubes/rgb/0007.png data/spheres": ProvedBy(
        "test_predict_repeats_evaluate_and_survives_a_broken_file"
    ),
    "python -m pipeline export --checkpoint $NET --out model.onnx": ProvedBy(
        "test_export_writes_a_file_that_onnx_runtime_runs"
    ),
    # experiments
    "dvc metrics show": COMPARED,
    "dvc metrics show runs/fusion/*/metrics.json": COMPARED,
    "dvc metrics diff": COMPARED,
    "dvc params diff": COMPARED,
    "dvc plots diff": COMPARED,
    "dvc exp run -S fusion.lr=3e-4": QUEUED,
    "dvc exp run -S precision=float32": Marked(),
    "export ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=COMPATIBLE": Marked(),
    EXP_SHOW: QUEUED,
    "dvc metrics diff --targets runs/fusion/late-strided/metrics.json": COMPARED,
    "python -m pipeline best": QUEUED,
    "git restore params.yaml dvc.lock runs && dvc checkout": ProvedBy(
        "test_going_back_to_the_baseline_keeps_every_other_edit"
    ),
    "dvc exp run -S matrix.late-strided.epochs=12": ProvedBy("test_an_experiment_is_a_group_even_in_the_queue"),
    "dvc exp run -S '+matrix.early-strided={fusion: early, downsample: strided, epochs: 4}'": ProvedBy(
        "test_a_cell_that_is_added_is_the_only_one_trained"
    ),
    "dvc exp run -S '+matrix.maximum-maxpool={fusion: maximum, downsample: maxpool, epochs: 2}'": ProvedBy(
        "test_a_cell_that_is_added_is_the_only_one_trained"
    ),
    "dvc exp run -S '~matrix.add-strided' -S 'fusion.seeds=[0, 1, 2]'": Marked(),
    "python -m pipeline preset course": Run("git restore params.yaml"),
    "git restore params.yaml": Run(before="echo >> params.yaml"),
    "wandb sync wandb/offline-run-*": Marked(),
    "WANDB_MODE=online make repro": Marked(),
    "WANDB_MODE=disabled make repro": Marked(),
    # what reruns, what repeats
    "dvc status": ProvedBy("test_everything_is_clean_and_a_second_run_does_nothing"),
    "python -m pipeline repro fusion@late-strided --jobs 2": ProvedBy("test_targets_run_with_their_ancestors_alone"),
    "dvc repro --force --single-item lidar": ProvedBy("test_trainings_repeated_to_the_byte_make_nothing_else_run"),
    "dvc commit --force prepare": ProvedBy("test_dvc_commit_accepts_the_present_outputs"),
    "dvc repro prepare": Marked(),
    "torchrun --nproc-per-node=4 -m stages.cilp": Marked(),
    "dvc commit --force cilp": ProvedBy("test_dvc_commit_accepts_the_present_outputs"),
    "dvc commit --force report": ProvedBy("test_dvc_commit_accepts_the_present_outputs"),
    "git status --short": Run(" M params.yaml", "echo >> params.yaml"),
    "git status --short params.yaml data.dvc": Run(),
    "git diff --stat runs": Run(),
    "git add runs dvc.lock": Run(),
    "make bench": Make("python -m benchmarks.run --jobs"),
    "make bench QUICK=1": Make("python -m benchmarks.run --jobs.*--quick"),
    "make repeat PRESET=smoke SCENES=40": Make("python -m scripts.repeat --preset smoke --scenes 40"),
    "make chaos SEED=0": Make("python -m scripts.chaos --seed 0 *\n"),
    "make chaos SEED=0 ONLY=kill-17": Make("python -m scripts.chaos --seed 0 *--only kill-17"),
    "python -m benchmarks.run --only steps --jobs 1": Help(),
    "python -m benchmarks.prepare --scenes 10000": Help(),
    "python -m benchmarks.latency runs/classify/full/models/seed0.safetensors": Help(),
    "python -m benchmarks.tracking --cell late-maxpool --rounds 6": Help(),
    "python -m benchmarks.gpu --cell add-maxpool": Help(),
    "python -m benchmarks.significance": Help(),
    "python -m benchmarks.alarms --scenes 10000": Help(),
    "python -m scripts.resume --scenes 1000": Help(),
    "python -m benchmarks.memory --pairs 10000 --pairs 100000": Help(),
    "python -m benchmarks.schedule --slots 8": Help(),
    # other machines
    "bash deploy/ray_node.sh head 127.0.0.1 6379": Marked(),
    "sbatch --nodes=4 --partition=gpu deploy/slurm.sbatch": Marked(),
    "docker build --tag REGISTRY/rgb-lidar-cilp-ray - < deploy/kuberay.Dockerfile": Marked(),
    "kubectl apply -f deploy/kuberay.yaml": Marked(),
    "kubectl logs --follow job/rgb-lidar-cilp": Marked(),
    "sky launch -c lab deploy/skypilot.yaml": Marked(),
    "rsync -a lab:sky_workdir/runs lab:sky_workdir/dvc.lock . && sky down lab": Marked(),
    # Docker
    "docker build --tag rgb-lidar-cilp .": Marked(),
    "docker build --build-arg BASE_IMAGE=debian:trixie-slim --tag rgb-lidar-cilp .": Marked(),
    "docker run --rm rgb-lidar-cilp make smoke": Marked(),
    f"alias lab='{LAB}'": Marked(),
    "lab": Marked(),
    "lab dvc repro fusion@concat-maxpool": Marked(),
    "lab test": Marked(),
    'export LAB_USER="$(id -u):$(id -g)"': Run(),
    "docker compose run --rm cpu": Marked(),
    "docker compose run --rm gpu dvc repro lidar": Marked(),
    "docker compose --profile farm run --rm farm": Marked(),
    "docker compose --profile farm down": Marked(),
    "docker build --secret id=pip.conf,src=$HOME/.config/pip/pip.conf --tag rgb-lidar-cilp .": Marked(),
    "make image-check": Make("python -m scripts.image_check"),
}
