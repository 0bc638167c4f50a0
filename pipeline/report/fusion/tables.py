"""The fusion study's tables, in Markdown: figures, costs and verdicts."""

from pipeline.report.fusion.comparisons import Ablation, Comparison, Curve, Figures, Stress
from pipeline.report.significance import Verdict
from pipeline.report.text import markdown, with_interval
from pipeline.results.prose import blind_loss

COSTS = {"parameters": "parameters", "seconds_per_epoch": "s/epoch", "peak_memory_mb": "peak MB", "epochs": "epochs"}
ACCURACY = {"accuracy": "test accuracy"}
OTHERS = {"val_loss": "val loss", "loss": "test loss", "f1": "test F1", "ece": "test ECE"}
SCORES = ACCURACY | OTHERS
COLUMNS = [*ACCURACY.values(), "beside the leader", *OTHERS.values(), *COSTS.values()]  # of the comparison


def comparison(study: Comparison) -> str:
    """A row a cell with its verdict beside the leader, and what blind answers get."""
    rows = [
        {"cell": name}
        | {title: with_interval(figures, key) for key, title in ACCURACY.items()}
        | {"beside the leader": "leader" if name == study.leader else told(study.verdicts[name])}
        | {title: with_interval(figures, key) for key, title in OTHERS.items()}
        | {title: plain(figures[key]) for key, title in COSTS.items()}
        for name, figures in study.cells.items()
    ]
    return markdown(rows + blind(next(iter(study.cells.values()))))


def blind(figures: Figures) -> list[dict[str, str]]:
    """Always the more frequent class, at its share; and a coin. `figures` are any cell's, for the share of classes."""
    cubes, spheres = (sum(row) for row in figures["confusion"])
    share = max(cubes, spheres) / (cubes + spheres)
    # a coin's expected F1 of a class of share q is 2 q (1/2) / (q + 1/2)
    coin = sum(q / (q + 0.5) for q in (share, 1 - share)) / 2
    return [
        _blind("the more frequent class", blind_loss(share), share, share / (1 + share)),
        _blind("a coin", blind_loss(0.5), 0.5, coin),
    ]


def _blind(name: str, loss: float, accuracy: float, f1: float) -> dict[str, str]:
    """A row of it, in the columns of the others; what it did not have to learn has no cost, and its share is true."""
    scores = {"loss": loss, "accuracy": accuracy, "f1": f1, "ece": 0.0}
    told = {SCORES[key]: f"{value:.4f}" for key, value in scores.items()}
    return {"cell": name} | {title: told.get(title, "") for title in COLUMNS}


def ablation(study: Ablation) -> str:
    """A row a cell; in brackets the difference from the first of the same fusion, or the ratio to it for costs."""
    rows = []
    for group in study.groups.values():
        for name in group:
            figures = study.cells[name]
            other = None if name == group[0] else study.cells[group[0]]
            row = {"cell": name}
            row |= {title: with_interval(figures, key) + change(figures, other, key) for key, title in SCORES.items()}
            row |= {f"beside {group[0].split('-')[1]}": "" if other is None else told(study.verdicts[name])}
            row |= {title: plain(figures[key]) + ratio(figures, other, key) for key, title in COSTS.items()}
            rows.append(row)
    return markdown(rows) if rows else "No fusion of the matrix has more than one downsampling.\n"


def curve(study: Curve) -> str:
    """A row a fusion, a column a number of scenes; an asterisk where it is told from the reference."""
    fusions = list(dict.fromkeys(fusion for point in study.points.values() for fusion in point))
    rows = []
    for fusion in fusions:
        row = {"fusion": fusion + (" (reference)" if fusion == study.reference else "")}
        for scenes, point in study.points.items():
            shown = with_interval(point[fusion], "accuracy", 3) if fusion in point else ""
            row[f"{scenes:,} scenes"] = shown + mark(study.verdicts.get((scenes, fusion)))
        rows.append(row)
    chance = {"fusion": "chance"} | {f"{scenes:,} scenes": f"{study.chance:.3f}" for scenes in study.points}
    return markdown([*rows, chance])


def stress(study: Stress) -> str:
    """A row a cell, a column a fault: accuracy over its severities; an asterisk where it is told from the leader."""
    names = list(next(iter(study.means.values())))
    rows = []
    for name in names:
        row = {"cell": name + (" (leader)" if name == study.leader else "")}
        for fault, cells in study.means.items():
            row[fault.replace("_", " ")] = f"{cells[name]['accuracy']:.3f}" + mark(study.verdicts.get((fault, name)))
        rows.append(row)
    chance = {"cell": "chance"} | {fault.replace("_", " "): f"{study.chance:.3f}" for fault in study.means}
    return markdown([*rows, chance])


def told(verdict: Verdict) -> str:
    """The word, the difference with its interval, and p after correction."""
    gap, half = verdict.difference.mean, verdict.difference.half
    if half is None or verdict.p is None:
        return f"{verdict.word} ({gap:+.4f}, one seed)"
    return f"{verdict.word} ({gap:+.4f} ± {half:.4f}, p {verdict.p:.2g})"


def mark(verdict: Verdict | None) -> str:
    """`*` for what can be told apart."""
    return "*" if verdict and verdict.word != "not distinguishable" else ""


def plain(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def change(figures: Figures, base: Figures | None, name: str) -> str:
    return "" if base is None else f" ({figures[name] - base[name]:+.4f})"


def ratio(figures: Figures, base: Figures | None, name: str) -> str:
    return "" if base is None else f" (x{figures[name] / base[name]:.2f})"
