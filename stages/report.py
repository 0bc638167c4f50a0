"""Everything on one page: runs/report/report.md, report.html, its figures, model cards, and summary.json."""

from tqdm import tqdm

from pipeline.config.params import Params, load_params
from pipeline.core.errors import run_command
from pipeline.core.files import read_json, read_npy, read_tsv, write_json, write_text
from pipeline.core.runs import RUNS, checkpoint_path, run_folder
from pipeline.core.sensors import CLASS_NAMES
from pipeline.evaluation.assessment import MARKS
from pipeline.report import cells, page
from pipeline.report import model_card as cards
from pipeline.report import style as figures
from pipeline.report import text as report
from pipeline.report.dataset import figures as data_figures
from pipeline.report.dataset import tables as data_tables
from pipeline.report.dataset import trivial_baselines as shortcuts
from pipeline.report.fusion import comparisons as evidence
from pipeline.report.fusion import figures as fusion_figures
from pipeline.report.fusion import tables as fusion_tables
from pipeline.report.transfer import tables as chain_tables
from pipeline.results import chain_prose, data_prose, fusion_prose, stress_prose

FOLDER = RUNS / "report"
SHOWN = 8  # mistakes at most in the picture of predictions; right ones fill its two rows
TITLE = "RGB + LiDAR fusion and CILP: results"


def data_study(data: dict) -> dict[str, str | int]:
    """Draws what there is to learn from; returns its tables and prose."""
    folder = RUNS / "prepare" / "arrays"
    frames = read_tsv(folder / "frames.tsv")
    rgb, depth = (read_npy(folder / f"{name}.npy", mmap_mode="r") for name in ("rgb", "depth"))
    azimuth, zenith = (read_npy(folder / f"{name}.npy") for name in ("azimuth", "zenith"))
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


def draw_samples(names: list[str], leader: str, known: cells.TestSet) -> None:
    """The surest mistakes of the first seed of any cell, and what the leader gets right with the least confidence."""
    logits = {name: cells.read_logits(name)[0] for name in names}
    shown = report.mistakes(logits, known.label, SHOWN)
    shown += report.closest(leader, logits[leader], known.label, 2 * SHOWN - len(shown))
    rows = known.row[[sample.pair for sample in shown]]
    folder = RUNS / "prepare" / "arrays"
    rgb, depth = (read_npy(folder / f"{name}.npy", mmap_mode="r")[rows] for name in ("rgb", "depth"))
    right = [known.label[sample.pair] == sample.said for sample in shown]
    titles = [
        f"{CLASS_NAMES[sample.said]} {sample.sure:.2f}" + ("" if good else f"\n{sample.cell.split('-')[0]}")
        for sample, good in zip(shown, right, strict=True)
    ]
    fusion_figures.samples(rgb, depth, titles, right, FOLDER / "predictions.png")


def fusion_study(params: Params, known: cells.TestSet) -> tuple[str, dict[str, str | int]]:
    """Draws the study; returns its leader and its tables and prose."""
    matrix, section = params.matrix, params.curve
    study, ablation = evidence.comparison(matrix, known), evidence.ablation(matrix, known)
    fewer = evidence.curve(section.fusions, section.scenes, section.downsample, matrix, known, study.leader)
    faults = evidence.stress(matrix, known, study.leader)
    panels: dict[str, dict] = {}
    for name, cell in matrix.items():
        history = read_tsv(RUNS / "fusion" / name / "history.tsv")
        panels.setdefault(cell.downsample, {})[cell.fusion] = history
    fusion_figures.curves(panels, "val_accuracy", "validation accuracy", FOLDER / "fusion.png")
    fusion_figures.costs(study, FOLDER / "costs.png")
    fusion_figures.confusion(cells.read_metrics(list(matrix)), CLASS_NAMES, FOLDER / "confusion.png")
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
        "base": cells.base_downsample(matrix),
    }


def chain_study(evaluated: dict, labels: dict, chance: float) -> dict[str, str | float]:
    """Draws the chain from LiDAR to RGB; returns its tables and prose."""
    trained = evaluated["trained"]
    zero_shot = trained["classify/projector"]["zero_shot_accuracy"]
    levels = {name: trained["cilp"][name] for name in ("chance_top1", "course_chance_loss", "course_floor_loss")}
    figures.pretraining(read_tsv(RUNS / "cilp" / "history.tsv"), levels | MARKS, FOLDER / "cilp.png")
    figures.similarity(read_npy(RUNS / "cilp" / "similarity.npy"), FOLDER / "similarity.png")
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
    params, known = load_params(), cells.load_test_set()
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
    run_command(main)
