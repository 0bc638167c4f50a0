"""The command line beside the stages: `python -m pipeline --help`. Arguments to one call each, no work here."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.config import load
from pipeline.data import check as checks
from pipeline.data import listing, pinned, raw, split
from pipeline.data import simulate as simulator
from pipeline.errors import run

ONLY_WARNINGS = 3  # exit code; 2 says that the command line was wrong
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Checkpoint = Annotated[Path, typer.Option(help="A file below runs/fusion, runs/lidar or runs/classify.")]
Folder = Annotated[Path, typer.Argument(help="A raw folder: cubes/ and spheres/ with rgb/, lidar/ and angles.")]


@app.command()
def simulate(
    folder: Folder,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes; each gives a cube and a sphere.")] = pinned.SCENES,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = pinned.SEED,
) -> None:
    """Write a simulated data set in the raw layout; FOLDER must not exist."""
    simulator.simulate(folder, scenes, seed)
    print(f"{folder}: {scenes} scenes, {2 * scenes} pairs, seed {seed}")


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="A folder, a .zip, .parquet, hf:owner/name or kaggle:owner/name.")],
    folder: Annotated[Path, typer.Argument(help="The raw folder to write; must not exist. The stages read data.")],
    scenes: Annotated[int | None, typer.Option(min=1, help="Draw so many whole scenes; all by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the scenes.")] = 0,
    skip: Annotated[bool, typer.Option("--skip", help="Leave out scenes that are not whole or have a fault.")] = False,
) -> None:
    """Bring a foreign data set into the raw layout, or say all that is wrong with it. Goes on after an interruption."""
    from pipeline.data import importers  # readers of every foreign form, which the other commands do without

    print(importers.bring_in(source, folder, scenes, seed, skip))


@app.command()
def check(
    folder: Folder, as_json: Annotated[bool, typer.Option("--json", help="Every fault, for machines.")] = False
) -> None:
    """Say all that is wrong with a raw folder. Exit code 0: nothing; 1: errors; 3: only warnings."""
    report = checks.survey(listing.list_folder(folder), split.chosen(load().prepare))
    print(json.dumps(checks.as_json(report), indent=2) if as_json else checks.table(report))
    if report.faults:
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
    from pipeline.data import explore as view

    if export_to:
        raw.demand_free(export_to)  # before the work, not after it
    said = {}
    if checkpoint:
        from pipeline.results.explored import say

        said = say(checkpoint, folder)
    dataset = view.build(folder, name, view.splits_of(table, folder), said)
    if export_to:
        view.export(dataset, export_to)
        print(f"{export_to}: {len(dataset)} pairs")
    else:
        view.launch(dataset, port, address)


@app.command()
def params() -> None:
    """Say what params.yaml asks for, or what is wrong with it, and on which device the stages will compute."""
    from pipeline import device as machine  # brings torch, which the other commands do without

    asked = load()
    print(f"params.yaml: {len(asked.seeds)} seeds, {len(asked.matrix)} cells: {', '.join(asked.matrix)}")
    device = machine.choose()
    print(f"device: {device}, {machine.precision(device)}")


@app.command()
def data() -> None:
    """Simulate the default data set if data/ is absent, and hold data/ against the hash in data.dvc."""
    pinned.ensure(Path("data"))


@app.command()
def predict(
    checkpoint: Checkpoint,
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders to search: PNG, PNG with npy, or npy alone.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Files at a time.")] = 64,
) -> None:
    """Name the class of every file or pair; exit code 1 if any could not be read."""
    from pipeline import device as machine
    from pipeline.results import files, shipped

    device, broken = machine.choose(), 0
    net = shipped.open_shipped(checkpoint, device)
    if not as_json:
        print("path\tclass\tprobability")
    for said in files.predict(net, paths, batch, device):
        if isinstance(said, raw.Fault):
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
    from pipeline.results import export as onnx

    done = onnx.export(checkpoint, out, inputs)
    print(f"{out}: equals torch within {done.difference:.1g} on {done.pairs} real inputs")


@app.command()
def results() -> None:
    """The headline figures of the last run beside chance, and where its report lies."""
    from pipeline.results.headlines import headlines

    print(headlines())


@app.command()
def best(
    top: Annotated[int, typer.Option(min=1, help="Trainings to list.")] = 10,
) -> None:
    """Name the best cell of workspace, commits and DVC experiments: the lowest validation loss, over seeds."""
    from pipeline.results import experiments, revisions

    print(experiments.best(revisions.trainings(), revisions.arrays_here(), top))


if __name__ == "__main__":
    run(app)
