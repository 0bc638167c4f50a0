"""What all written analyses share: how names, ranges and verdicts are put into words, and texts put together.

Every number is computed from the arguments; what no test shows is called not distinguishable.
"""

from collections.abc import Callable, Iterable, Mapping
from math import log
from typing import Any

from pipeline.metrics.seeds import CONFIDENCE
from pipeline.report.significance import Verdict

Figures = Mapping[str, Any]
ENOUGH = 210  # words; where there are fewer, it is told how to read the figures
INTERVAL = (
    "The ± after a figure is the half-width of a 95% interval (Student's t) for the mean over seeds: it tells how much "
    "other trainings on the same data may differ, and nothing of other test pairs."
)
ALONE = (
    "One seed gave these figures, so they have no interval: how much another training would differ is not known, and "
    "small gaps should not be read at all."
)
CHANCE = (
    "Chance is what answers without any knowledge would get on the same pairs. A figure means something only by its "
    "distance from chance, which is why both stand side by side."
)
PAIRED = (
    "The paired test asks whether the same difference would show with other weights and with other scenes; both nets "
    "answer the same scenes, so that a hard scene weighs on both alike."
)
HOLM = (
    "Holm's correction raises p with the number of comparisons made together, since among many of them one would look "
    "clear by luck alone."
)
EQUAL = (
    "Not distinguishable does not mean equal: these seeds and these scenes do not suffice to say which net is better. "
    "More of either would narrow the intervals."
)
SHARED = (
    "All nets share the split and the seeds, so that the luck of the draw touches all of them alike, and each was kept "
    "as it was in the epoch of its lowest validation loss."
)
SINGLE = {"rgb": "RGB", "lidar": "LiDAR"}  # fusions that see one sensor
LEARN = "Get a net to learn first: until one is shown to be above chance, there is no ground to prefer any."
READING = (EQUAL, PAIRED, HOLM, INTERVAL, SHARED, CHANCE)  # of a study with paired tests
UNTESTED = (
    "No test was possible, since it takes several seeds and several scenes: all count as not distinguishable, and any "
    "order is that of these trainings alone."
)


def joined(items: Iterable[str]) -> str:
    """a, b and c."""
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last


def listed(names: Iterable[str]) -> str:
    """The same of names of cells and fusions."""
    return joined(f"`{name}`" for name in names)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def same(one: float, two: float) -> bool:
    """Whether two scores look the same as they are shown."""
    return f"{one:.4f}" == f"{two:.4f}"


def span(values: Iterable[float], form: str) -> str:
    """Lowest to highest, or the one value where both look the same."""
    ordered = sorted(values)
    return " to ".join(dict.fromkeys(form.format(end) for end in (ordered[0], ordered[-1])))


def extreme(values: Mapping[str, float], pick: Callable = max) -> tuple[list[str], float]:
    """Who shares the highest (or lowest) value, and the value."""
    end = pick(values.values())
    return [name for name, value in values.items() if same(value, end)], end


def ends(values: Mapping[str, float], form: str = "{:.4f}", names: Callable = listed) -> str:
    """Lowest to highest with who has them."""
    (worst, low), (best, high) = extreme(values, min), extreme(values)
    if same(low, high):
        return form.format(high) + (" throughout" if len(values) > 1 else "")
    return f"{form.format(low)} ({names(worst)}) to {form.format(high)} ({names(best)})"


def fusion(cell: str) -> str:
    return cell.split("-")[0]


def of(nets: Mapping[str, Figures], name: str = "accuracy") -> dict[str, float]:
    return {net: figures[name] for net, figures in nets.items()}


def above(figures: Figures, name: str, level: float) -> bool:
    """Whether the interval over seeds lies above `level`; of one seed, the figure itself."""
    return figures[name] - (figures.get(f"{name}_ci95") or 0.0) > level


def learnt(nets: Mapping[str, Figures], chance: float) -> list[str]:
    return [name for name, figures in nets.items() if above(figures, "accuracy", chance)]


def at_chance(nets: Mapping[str, Figures], chance: float, names: Callable = listed) -> str:
    """Who is not shown to have learnt; nothing where all are."""
    blind = [name for name in nets if name not in learnt(nets, chance)]
    if len(blind) == len(nets):
        return "No net here is shown to be above chance, so no order among them counts."
    return f"Not shown to be above chance: {names(blind)}." if blind else ""


def blind_loss(chance: float) -> float:
    """Cross-entropy of answers that know the share of the larger class, and nothing else."""
    return -sum(share * log(share) for share in (chance, 1 - chance) if share)


def having(verdicts: Mapping[str, Verdict], word: str) -> list[str]:
    return [name for name, verdict in verdicts.items() if verdict.word == word]


def tested(verdicts: Mapping[Any, Verdict]) -> bool:
    """Whether there was a test at all; a single seed allows none."""
    return any(verdict.p is not None for verdict in verdicts.values())


def small(gap: float) -> str:
    return f"{abs(gap):.4f}"


def judged(verdicts: Mapping[str, Verdict], other: str, shown: Callable[[float], str] = small) -> list[str]:
    """What the paired test says of nets beside `other`; `shown` words a gap."""
    if not tested(verdicts):
        return [UNTESTED]
    told = [_clear(verdicts, word, other, shown) for word in ("better", "worse") if having(verdicts, word)]
    rest = having(verdicts, "not distinguishable")
    if told or not rest:
        return [*told, f"Not distinguishable from {other}: {listed(rest)}." if rest else ""]
    near = min(rest, key=lambda name: verdicts[name].p)
    many = f"none of the {len(rest)} others is" if len(rest) > 1 else f"`{near}` is not"
    return [
        f"By the paired test {many} distinguishable from {other}: the smallest p, corrected for the number of "
        f"comparisons, is {verdicts[near].p:.2g}, and it takes less than {1 - CONFIDENCE:.2g}."
    ]


def _clear(verdicts: Mapping[str, Verdict], word: str, other: str, shown: Callable[[float], str]) -> str:
    found = {name: abs(verdicts[name].difference.mean) for name in having(verdicts, word)}
    most = max(found, key=found.get)
    size = f"{shown(found[most])} (p {verdicts[most].p:.2g})"
    told = f"Shown to be {word} than {other}: {listed(found)}"
    return f"{told}, by {size}." if len(found) == 1 else f"{told}; the largest gap, of `{most}`, is {size}."


def compose(paragraphs: Iterable[Iterable[str]], advice: Iterable[str], reading: Iterable[str]) -> str:
    """Sentences -> Markdown, the advice as a list; with as much of `reading` as it takes to be enough."""
    body = [text for text in (" ".join(filter(None, sentences)) for sentences in paragraphs) if text]
    points, notes = [point for point in advice if point], []
    for note in reading:
        if len(" ".join([*body, *points, *notes]).split()) >= ENOUGH:
            break
        notes.append(note)
    closing = ["Recommendations:", "\n".join(f"- {point}" for point in points)] if points else []
    return "\n\n".join(filter(None, [*body, " ".join(notes), *closing])) + "\n"
