"""Everything on one page: runs/report/report.md, report.html, its figures, model cards, and summary.json."""

from tqdm import tqdm

from pipeline.artifacts import (
    RUNS,
    checkpoint_path,
    read_array,
    read_json,
    read_table,
    run_folder,
    write_json,
    write_text,
)
from pipeline.config import Params, load
from pipeline.data.raw import NAMES
from pipeline.errors import run
from pipeline.results import (
    cards,
    cells,
    chain_prose,
    chain_tables,
    data_figures,
    data_prose,
    data_tables,
    evidence,
    figures,
    fusion_figures,
    fusion_prose,
    fusion_tables,
    page,
    report,
    shortcuts,
    stress_prose,
)
from pipeline.results.assessment import MARKS

FOLDER = RUNS / "report"
SHOWN = 8  # mistakes at most in the picture of predictions; right ones fill its two rows
TITLE = "RGB + LiDAR fusion and CILP: results"


def data_study(data: dict) -> dict[str, str | int]:
    """Draws what there is to learn from; returns its tables and prose."""
    folder = RUNS / "prepare" / "arrays"
    frames = read_table(folder / "frames.tsv")
    rgb, depth = (read_array(folder / f"{name}.npy", mmap_mode="r") for name in ("rgb", "depth"))
    azimuth, zenith = (read_array(folder / f"{name}.npy") for name in ("azimuth", "zenith"))
    data_figures.overview(data, frames, data_figures.ranges(frames, depth), FOLDER / "data.png")
    shown = [
        data_figures.scene(number, rows, rgb, depth, (azimuth, zenith))
        for number, *rows in data_figures.chosen(frames).itertuples()
    ]
    data_figures.contact(shown, FOLDER / "contact.png")
    found, chance = shortcuts.shortcuts(frames), shortcuts.chance(frames)
    return {
        "data_table": data_tables.contents(data),
        "data_prose": data_prose.account(data, found, chance),
        "shortcut_table": data_tables.shortcuts(found, chance),
        "frames": data_figures.FRAMES,
    }


def draw_samples(names: list[str], leader: str, known: cells.Known) -> None:
    """The surest mistakes of the first seed of any cell, and what the leader gets right with the least confidence."""
    logits = {name: cells.read_logits(name)[0] for name in names}
    shown = report.mistakes(logits, known.label, SHOWN)
    shown += report.closest(leader, logits[leader], known.label, 2 * SHOWN - len(shown))
    rows = known.row[[sample.pair for sample in shown]]
    folder = RUNS / "prepare" / "arrays"
    rgb, depth = (read_array(folder / f"{name}.npy", mmap_mode="r")[rows] for name in ("rgb", "depth"))
    right = [known.label[sample.pair] == sample.said for sample in shown]
    titles = [
        f"{NAMES[sample.said]} {sample.sure:.2f}" + ("" if good else f"\n{sample.cell.split('-')[0]}")
        for sample, good in zip(shown, right, strict=True)
    ]
    fusion_figures.samples(rgb, depth, titles, right, FOLDER / "predictions.png")


def fusion_study(params: Params, known: cells.Known) -> tuple[str, dict[str, str | int]]:
    """Draws the study; returns its leader and its tables and prose."""
    matrix, section = params.matrix, params.curve
    study, ablation = evidence.comparison(matrix, known), evidence.ablation(matrix, known)
    fewer = evidence.curve(section.fusions, section.scenes, section.downsample, matrix, known, study.leader)
    faults = evidence.stress(matrix, known, study.leader)
    panels: dict[str, dict] = {}
    for name, cell in matrix.items():
        history = read_table(RUNS / "fusion" / name / "history.tsv")
        panels.setdefault(cell.downsample, {})[cell.fusion] = history
    fusion_figures.curves(panels, "val_accuracy", "validation accuracy", FOLDER / "fusion.png")
    fusion_figures.costs(study, FOLDER / "costs.png")
    fusion_figures.confusion(cells.read_metrics(list(matrix)), NAMES, FOLDER / "confusion.png")
    fusion_figures.curve(fewer, FOLDER / "curve.png")
    fusion_figures.stress(faults, list(study.cells), FOLDER / "stress.png")
    draw_samples(list(study.cells), study.leader, known)
    return study.leader, {
        "fusion": fusion_tables.comparison(study),
        "fusion_prose": fusion_prose.comparison(study, len(known.label)),
        "ablation": fusion_tables.ablation(ablation),
        "ablation_prose": fusion_prose.ablation(ablation),
        "curve": fusion_tables.curve(fewer),
        "curve_prose": stress_prose.curve(fewer),
        "stress": fusion_tables.stress(faults),
        "stress_prose": stress_prose.stress(faults),
        "stressed": faults.pairs,
        "base": cells.base(matrix),
    }


def chain_study(evaluated: dict, labels: dict, chance: float) -> dict[str, str | float]:
    """Draws the chain from LiDAR to RGB; returns its tables and prose."""
    trained = evaluated["trained"]
    zero_shot = trained["classify/projector"]["zero_shot_accuracy"]
    levels = {name: trained["cilp"][name] for name in ("chance_top1", "course_chance_loss", "course_floor_loss")}
    figures.pretraining(read_table(RUNS / "cilp" / "history.tsv"), levels | MARKS, FOLDER / "cilp.png")
    figures.similarity(read_array(RUNS / "cilp" / "similarity.npy"), FOLDER / "similarity.png")
    figures.labels(chain_tables.label_curves(labels), zero_shot, labels["chance"], FOLDER / "labels.png")
    return {
        "chain": chain_tables.steps(evaluated, chance),
        "cilp_prose": chain_prose.cilp(evaluated, chance),
        "assessment": chain_tables.assessment(evaluated),
        "labels": chain_tables.labels(labels),
        "labels_prose": chain_prose.labels(labels, zero_shot),
        "train_loss": chain_tables.worst_train_loss(labels),
        "zero_shot": report.with_interval(trained["classify/projector"], "zero_shot_accuracy", 3),
    } | MARKS


def model_cards(cell: str, seed: int, data: dict, accuracies: dict[str, list[float]]) -> str:
    """Of the nets that may be shipped: the fusion cell of the lowest validation loss, LiDAR's, the RGB classifiers."""
    nets = {
        f"fusion/{cell}": (f"RGB + LiDAR classifier, {cell}", "RGBA picture and LiDAR ranges"),
        "lidar": ("LiDAR classifier", "LiDAR ranges"),
        "classify/projector": ("RGB classifier in LiDAR space, projector tuned", "RGBA picture"),
        "classify/everything": ("RGB classifier in LiDAR space, everything tuned", "RGBA picture"),
    }

    def card(name: str) -> str:
        file, told = checkpoint_path(RUNS / name, seed), read_json(RUNS / name / "metrics.json")
        return cards.card(*nets[name], file, told, accuracies[name], data)

    return "# Model cards\n\n" + "".join(map(card, nets)) + cards.limits(data)


def main() -> None:
    params, known = load(), cells.test_pairs()
    data, labels, evaluated = (read_json(RUNS / stage / "metrics.json") for stage in ("prepare", "labels", "evaluate"))
    chance = read_json(RUNS / "lidar" / "metrics.json")["chance"]
    run_folder("report")
    with tqdm(total=3, desc="report", unit="study", disable=None) as bar:
        leader, fill = fusion_study(params, known)
        for study in (lambda: data_study(data), lambda: chain_study(evaluated, labels, chance)):
            bar.update()
            fill |= study()
        bar.update()
    text = report.page(data, fill, len(params.seeds))
    write_json(FOLDER / "summary.json", report.summary(cells.read_metrics(list(params.matrix)), evaluated, chance))
    write_text(FOLDER / "report.md", text)
    write_text(FOLDER / "model_card.md", model_cards(leader, params.seeds[0], data, evaluated["accuracies"]))
    write_text(FOLDER / "report.html", page.html(text, FOLDER, TITLE))
    print(f"report: {FOLDER / 'report.html'}")


if __name__ == "__main__":
    run(main)
