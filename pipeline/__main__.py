"""The command line beside the stages: `python -m pipeline --help`. Arguments to one call each, no work here."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.config.params import load_params
from pipeline.core.errors import run_command
from pipeline.raw.format import Issue, require_absent
from pipeline.raw.index import index_folder
from pipeline.raw.splitting import make_splitter
from pipeline.raw.validate import format_report, report_to_dict, validate_folder
from pipeline.tools.simulator import simulate as simulator
from pipeline.tools.simulator.default_dataset import SCENES, SEED, ensure_default_dataset

ONLY_WARNINGS = 3  # exit code; 2 says that the command line was wrong
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Checkpoint = Annotated[Path, typer.Option(help="A file below runs/fusion, runs/lidar or runs/classify.")]
Folder = Annotated[Path, typer.Argument(help="A raw folder: cubes/ and spheres/ with rgb/, lidar/ and angles.")]


@app.command()
def simulate(
    folder: Folder,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes; each gives a cube and a sphere.")] = SCENES,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = SEED,
) -> None:
    """Write a simulated data set in the raw layout; FOLDER must not exist."""
    simulator.simulate(folder, scenes, seed)
    print(f"{folder}: {scenes} scenes, {2 * scenes} pairs, seed {seed}")


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="Folder, .zip, .tar.gz, .parquet, hf:owner/name, kaggle:owner/name.")],
    folder: Annotated[Path, typer.Argument(help="The raw folder to write; must not exist. The stages read data.")],
    scenes: Annotated[int | None, typer.Option(min=1, help="Draw so many whole scenes; all by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the scenes.")] = 0,
    skip: Annotated[bool, typer.Option("--skip", help="Leave out scenes that are not whole or have a fault.")] = False,
    known_angles: Annotated[
        bool, typer.Option("--known-angles", help="Use the angles of the course's LiDAR where the set has none.")
    ] = False,
) -> None:
    """Bring a foreign data set into the raw layout, or say all that is wrong with it. Goes on after an interruption."""
    from pipeline.tools.importers.import_dataset import (
        import_dataset,  # readers of every foreign form, which the other commands do without
    )

    print(import_dataset(source, folder, scenes, seed, skip, known_angles))


@app.command()
def check(
    folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Every fault, for machines.")] = False
) -> None:
    """Say all that is wrong with a raw folder. Exit code 0: nothing; 1: errors; 3: only warnings."""
    report = validate_folder(index_folder(folder), make_splitter(load_params().prepare))
    print(json.dumps(report_to_dict(report), indent=2) if as_json else format_report(report))
    if report.issues:
        raise typer.Exit(1 if report.errors else ONLY_WARNINGS)


@app.command()
def explore(
    folder: Folder,
    checkpoint: Annotated[Path | None, typer.Option(help="Show what this net says, and tag its mistakes.")] = None,
    export_to: Annotated[Path | None, typer.Option("--export", help="Write a FiftyOneDataset folder, no App.")] = None,
    name: Annotated[str | None, typer.Option(help="Keep the data set in FiftyOne under this name.")] = None,
    table: Annotated[
        Path | None, typer.Option("--split", help="A split.tsv; for data the one of the last prepare.")
    ] = None,
    address: Annotated[str, typer.Option(help="0.0.0.0 shows it to other machines.")] = "localhost",
    port: Annotated[int, typer.Option()] = 5151,
) -> None:
    """Look at a raw folder in FiftyOne, every pair as RGB, depth and points in space; or write it as its data set."""
    from pipeline.tools.explore.fiftyone_view import build_dataset, export_dataset, launch_app, read_scene_splits

    if export_to:
        require_absent(export_to)  # before the work, not after it
    said = {}
    if checkpoint:
        from pipeline.tools.explore.predictions import predict_folder

        said = predict_folder(checkpoint, folder)
    dataset = build_dataset(folder, name, read_scene_splits(table, folder), said)
    if export_to:
        export_dataset(dataset, export_to)
        print(f"{export_to}: {len(dataset)} pairs")
    else:
        launch_app(dataset, port, address)


@app.command()
def params() -> None:
    """Say what params.yaml asks for, or what is wrong with it, and on which device the stages will compute."""
    from pipeline.core.device import precision, setup_device  # brings torch, which the other commands do without

    asked = load_params()
    print(f"params.yaml: {len(asked.seeds)} seeds, {len(asked.matrix)} cells: {', '.join(asked.matrix)}")
    device = setup_device()
    print(f"device: {device}, {precision(device)}")


@app.command()
def data() -> None:
    """Simulate the default data set if data/ is absent, and hold data/ against the hash in data.dvc."""
    ensure_default_dataset(Path("data"))


@app.command()
def predict(
    checkpoint: Checkpoint,
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders to search: PNG, PNG with npy, or npy alone.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Files at a time.")] = 64,
) -> None:
    """Name the class of every file or pair; exit code 1 if any could not be read."""
    from pipeline.core.device import setup_device
    from pipeline.tools.inference.deployable import load_deployable
    from pipeline.tools.inference.files import predict_files

    device, broken = setup_device(), 0
    net = load_deployable(checkpoint, device)
    if not as_json:
        print("path\tclass\tprobability")
    for said in predict_files(net, paths, batch, device):
        if isinstance(said, Issue):
            broken += 1
            print(f"error: {said}", file=sys.stderr)
        elif as_json:
            print(json.dumps({"path": str(said.path), "class": said.name, "probability": said.probability}))
        else:
            print(f"{said.path}\t{said.name}\t{said.probability:.4f}")
    if broken:
        raise typer.Exit(1)


@app.command()
def export(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    inputs: Annotated[Path, typer.Option(help="Raw files on which the export is checked.")] = Path("data"),
) -> None:
    """Write a net as ONNX, once ONNX Runtime gives the logits that torch gives."""
    from pipeline.tools.inference.onnx_export import export_onnx

    done = export_onnx(checkpoint, out, inputs)
    print(f"{out}: equals torch within {done.difference:.1g} on {done.pairs} real inputs")


@app.command()
def results() -> None:
    """The headline figures of the last run beside chance, and where its report lies."""
    from pipeline.tools.experiments.summary_table import summary_table

    print(summary_table())


@app.command()
def best(
    top: Annotated[int, typer.Option(min=1, help="Trainings to list.")] = 10,
) -> None:
    """Name the best cell of workspace, commits and DVC experiments: the lowest validation loss, over seeds."""
    from pipeline.tools.experiments import ranking as experiments
    from pipeline.tools.experiments import revisions

    print(experiments.best(revisions.trainings(), revisions.arrays_here(), top))


if __name__ == "__main__":
    run_command(app)
