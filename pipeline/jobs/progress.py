"""What runs, what is done and how long is left: a bar on a terminal, lines elsewhere; always on stderr."""

import sys
from collections.abc import Collection, Mapping
from math import ceil
from time import monotonic
from types import TracebackType

from tqdm import tqdm


class Progress:
    """Show the progress of stages, as a context."""

    def __init__(self, slots: int, seconds: Mapping[str, float]) -> None:
        """Expect stages to take `seconds`, by their names and where known; `slots` of them compute at a time."""
        self._slots = slots
        self._seconds = dict(seconds)
        self._running: dict[str, float] = {}  # since when
        self._bar = tqdm(total=0, bar_format="{desc}", disable=None, dynamic_ncols=True, leave=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        tqdm.write(text, file=sys.stderr)

    def started(self, name: str) -> None:
        """Show that a stage started."""
        self._running[name] = monotonic()
        if self._bar.disable:
            self.line(f"start {name}")

    def ended(self, name: str, failure: str | None, left: Collection[str]) -> None:
        """Show how a stage ended; `left` are the names of the stages that wait or run."""
        took = f"{monotonic() - self._running.pop(name, monotonic()):.0f} s"
        time_left = self._time_left(left) if self._bar.disable else ""
        self.line(failure or f"end {name}, {took}{time_left}")

    def show(self, done: int, count: int, left: Collection[str]) -> None:
        """Refresh the bar."""
        if not self._bar.disable:
            running = ", ".join(f"{name} {monotonic() - since:.0f} s" for name, since in self._running.items())
            self._bar.set_description_str(f"{done}/{count} stages{self._time_left(left)}; now {running}")

    def _time_left(self, left: Collection[str]) -> str:
        """Return a text with the time left, empty if no stage's length is known; unknown ones count as the mean."""
        if not left or not self._seconds:
            return ""
        mean = sum(self._seconds.values()) / len(self._seconds)
        work = sum(self._seconds.get(name, mean) for name in left)
        spent = sum(min(monotonic() - since, self._seconds.get(name, mean)) for name, since in self._running.items())
        return f", about {ceil(max(work - spent, 1) / self._slots / 60)} min left"
