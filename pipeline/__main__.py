"""The command line beside the stages: `python -m pipeline --help`. Each command hands its arguments to one call.

A command imports what it needs when it runs, so that --help is quick.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.core.errors import run_command
from pipeline.version import __version__

ONLY_WARNINGS = 3  # exit code; typer exits with 2 for a wrong command line
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Checkpoint = Annotated[Path, typer.Option(help="A file below runs/fusion, runs/lidar or runs/classify.")]
Folder = Annotated[Path, typer.Argument(help="A raw folder: cubes/ and spheres/ with rgb/, lidar/ and angles.")]


def _print_version(requested: bool) -> None:
    if requested:
        print(__version__)
        raise typer.Exit


@app.callback()
def version(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """RGB + LiDAR fusion and contrastive pretraining: data, parameters, trained nets and experiments."""
    from pipeline.core.cores import require_address_space

    require_address_space()


@app.command("simulate")
def simulate_command(
    folder: Folder,
    scenes: Annotated[
        int | None, typer.Option(min=1, help="Scenes, each with a cube and a sphere; default: as in data.dvc.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Equal seeds, equal bytes; default: as in data.dvc.")] = None,
) -> None:
    """Write a simulated data set in the raw layout. FOLDER must not exist."""
    from pipeline.tools.simulator.default_dataset import SCENES, SEED
    from pipeline.tools.simulator.simulate import simulate

    scenes, seed = scenes or SCENES, SEED if seed is None else seed
    simulate(folder, scenes, seed)
    print(f"{folder}: {scenes} scenes, {2 * scenes} pairs, seed {seed}")


@app.command("import")
def import_command(
    source: Annotated[str, typer.Argument(help="Folder, .zip, .tar.gz, .parquet, hf:owner/name, kaggle:owner/name.")],
    folder: Annotated[Path, typer.Argument(help="The raw folder to write; must not exist. The stages read data.")],
    scenes: Annotated[int | None, typer.Option(min=1, help="Import this many whole scenes; default: all.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed that draws the scenes.")] = 0,
    skip: Annotated[bool, typer.Option("--skip", help="Leave out incomplete and broken scenes.")] = False,
    known_angles: Annotated[
        bool, typer.Option("--known-angles", help="Use the angles of the course's LiDAR where the set has none.")
    ] = False,
) -> None:
    """Import a data set into the raw layout, or list all that is wrong with it. Continues after an interruption."""
    from pipeline.tools.importers.import_dataset import import_dataset

    print(import_dataset(source, folder, scenes, seed, skip, known_angles))


@app.command()
def check(
    folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Print every issue as JSON.")] = False
) -> None:
    """List all that is wrong with a raw folder. Exit code 0: nothing; 1: errors; 3: only warnings."""
    from pipeline.config.params import load_params
    from pipeline.raw.index import index_folder
    from pipeline.raw.splitting import make_splitter
    from pipeline.raw.validate import format_report, report_to_dict, validate_folder

    report = validate_folder(index_folder(folder), make_splitter(load_params().prepare))
    print(json.dumps(report_to_dict(report), indent=2) if as_json else format_report(report))
    if report.issues:
        raise typer.Exit(1 if report.errors else ONLY_WARNINGS)


@app.command()
def explore(
    folder: Folder,
    checkpoint: Annotated[Path | None, typer.Option(help="Show this net's predictions and tag its errors.")] = None,
    export_to: Annotated[
        Path | None, typer.Option("--export", help="Write a FiftyOneDataset folder instead of starting the App.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Keep the data set in FiftyOne's database by this name.")] = None,
    table: Annotated[
        Path | None, typer.Option("--split", help="A split.tsv; default for data: that of the last prepare.")
    ] = None,
    address: Annotated[str, typer.Option(help="0.0.0.0 lets other computers see it.")] = "localhost",
    port: Annotated[int, typer.Option(help="Port of the App.")] = 5151,
) -> None:
    """Show each pair of a raw folder in FiftyOne as RGB, depth and points, or write a FiftyOne data set."""
    from pipeline.raw.format import require_absent
    from pipeline.tools.explore.fiftyone_view import build_dataset, export_dataset, launch_app, read_scene_splits

    if export_to:
        require_absent(export_to)  # before the work, not after it
    predictions = {}
    if checkpoint:
        from pipeline.tools.explore.predictions import predict_folder

        predictions = predict_folder(checkpoint, folder)
    dataset = build_dataset(folder, name, read_scene_splits(table, folder), predictions)
    if export_to:
        export_dataset(dataset, export_to)
        print(f"{export_to}: {len(dataset)} pairs")
    else:
        launch_app(dataset, port, address)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check machine, packages and repository, one line a check. Exit code 1 if there is a problem."""
    from pipeline.tools.doctor.diagnosis import all_checks, diagnose, format_line, format_summary

    findings = diagnose(all_checks())
    if as_json:
        print(json.dumps({name: finding._asdict() for name, finding in findings.items()}, indent=2))
    else:
        print(*(format_line(name, finding) for name, finding in findings.items()), sep="\n")
        print(format_summary(findings))
    if any(finding.status == "problem" for finding in findings.values()):
        raise typer.Exit(1)


@app.command()
def params() -> None:
    """Print problems that stop a run, check params.yaml, and print its seeds and cells and the device."""
    from pipeline.config.params import load_params
    from pipeline.core.device import precision_name, setup_device
    from pipeline.models.fusion import check_nets
    from pipeline.tools.doctor.diagnosis import print_problems

    print_problems()
    loaded = load_params()
    check_nets(loaded.fusion.nets)
    cells = f"{len(loaded.matrix)} cells of {len(loaded.fusion.seeds)} seeds"
    print(f"params.yaml: {len(loaded.seeds)} seeds, {cells}: {', '.join(loaded.matrix)}")
    device = setup_device(loaded.precision)
    print(f"device: {device}, {precision_name(device)}")


@app.command()
def preset(
    name: Annotated[str, typer.Argument(help="A file of presets/ without its ending: smoke, course, full.")],
    out: Annotated[Path | None, typer.Option(help="Write this new file and leave params.yaml alone.")] = None,
) -> None:
    """Merge a preset over the default parameters and write params.yaml. Refuses to overwrite uncommitted edits."""
    from pipeline.tools.presets import PARAMS, apply_preset, write_preset

    if out:
        write_preset(name, out)
        print(f"{out}: preset {name}")
    else:
        print(f"{PARAMS}: preset {name}; back: {apply_preset(name)}")


@app.command()
def data() -> None:
    """Simulate the default data set if data/ is absent, and compare data/ with the hash in data.dvc."""
    from pipeline.tools.simulator.default_dataset import ensure_default_dataset

    ensure_default_dataset(Path("data"))


@app.command()
def repro(
    targets: Annotated[list[str] | None, typer.Argument(help="Stages as `dvc repro` names them; default: all.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Trainings at a time; default: as many as cores and memory allow.")
    ] = None,
    cluster: Annotated[
        str, typer.Option(help="Train on a cluster of Ray: auto (this machine's), ray://HOST:10001 or HOST:6379.")
    ] = "local",
    gpus: Annotated[
        str | None, typer.Option(help="Compute on these GPUs, as in 0,1; default: the first and all others like it.")
    ] = None,
    per_gpu: Annotated[int, typer.Option(min=1, help="Trainings at a time on one GPU; over 1, none is timed.")] = 1,
) -> None:
    """Do what `dvc repro` does, with several stages at a time. Exit code 1 if a stage failed."""
    from pipeline.jobs import driver

    print(driver.repro(targets or [], jobs, cluster, gpus, per_gpu))


@app.command("sweep")
def sweep_command(
    settings: Annotated[
        list[str], typer.Option("--set-param", "-S", help="A key and its values: fusion.lr=1e-4,1e-3.")
    ],
    copies: Annotated[
        list[Path] | None, typer.Option("--copy-paths", "-C", help="A file that experiments need and Git ignores.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Experiments at a time.")] = 2,
    cluster: Annotated[str, typer.Option(help="Train on a cluster of Ray, as in repro.")] = "local",
) -> None:
    """Queue an experiment for each point of a grid, and run all that DVC's queue holds. Needs an earlier run."""
    from pipeline.tools.experiments.sweep import sweep

    sweep(settings, copies or [], jobs, cluster)


@app.command()
def predict(
    checkpoint: Checkpoint,
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders to search: PNG, PNG with npy, or npy alone.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines instead of a table.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Files per batch.")] = 64,
) -> None:
    """Print the class of every file or pair. Exit code 1 if one could not be read."""
    from pipeline.core.device import setup_device
    from pipeline.tools.inference.deployable import load_deployable
    from pipeline.tools.inference.files import Prediction, predict_files

    device, complete = setup_device(), True
    net = load_deployable(checkpoint, device)
    if not as_json:
        print("path\tclass\tprobability")
    for result in predict_files(net, paths, batch, device):
        if not isinstance(result, Prediction):
            complete = False
            print(f"error: {result}", file=sys.stderr)
        elif as_json:
            row = {"path": str(result.path), "class": result.class_name, "probability": result.probability}
            print(json.dumps(row))
        else:
            print(f"{result.path}\t{result.class_name}\t{result.probability:.4f}")
    if not complete:
        raise typer.Exit(1)


@app.command()
def export(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    inputs: Annotated[Path, typer.Option(help="Raw files on which the export is compared with torch.")] = Path("data"),
) -> None:
    """Write a net as ONNX after comparing the logits of ONNX Runtime with those of torch."""
    from pipeline.tools.inference.onnx_export import export_onnx

    comparison = export_onnx(checkpoint, out, inputs)
    print(f"{out}: equals torch within {comparison.difference:.1g} on {comparison.pairs} real inputs")


@app.command()
def results() -> None:
    """Print the headline figures of the last run beside chance, and the path of its report."""
    from pipeline.config.params import load_params
    from pipeline.tools.experiments.summary_table import summary_table

    params = load_params()
    print(summary_table(list(params.matrix), len(params.fusion.seeds)))


@app.command()
def best(top: Annotated[int, typer.Option(min=1, help="Trainings to list.")] = 10) -> None:
    """Print the best cell of workspace, commits and DVC experiments: the lowest validation loss, over seeds."""
    from pipeline.tools.experiments.ranking import format_ranking
    from pipeline.tools.experiments.revisions import arrays_here, trainings

    print(format_ranking(trainings(), arrays_here(), top))


if __name__ == "__main__":
    run_command(app)
