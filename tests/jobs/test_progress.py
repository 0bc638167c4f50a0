"""What the driver shows: lines where stderr is no terminal, one line that is written anew on a terminal."""

import io

import pytest

from pipeline.jobs.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Put a clock that stands still under the progress; its only item is the time."""
    time = [0.0]
    monkeypatch.setattr("pipeline.jobs.progress.monotonic", lambda: time[0])
    return time


def test_lines_say_what_starts_what_ended_and_how_long_is_left(
    clock: list[float], capsys: pytest.CaptureFixture
) -> None:
    with Progress(2, {"left": 60.0, "right": 600.0}) as progress:
        progress.started("left")
        progress.started("right")
        progress.show(0, 3, ["last", "left", "right"])
        clock[0] = 61.0
        progress.ended("left", None, ["last", "right"])
        progress.ended("right", "stage right: exit code 1", ["last"])
    # right has 539 seconds to go, and last, which never ran, counts as the mean of 330: 869 seconds of two slots
    assert capsys.readouterr().err.splitlines() == [
        "start left",
        "start right",
        "end left, 61 s, about 8 min left",
        "stage right: exit code 1",
    ]


def test_a_first_run_promises_no_time(clock: list[float], capsys: pytest.CaptureFixture) -> None:
    with Progress(2, {}) as progress:
        progress.started("left")
        progress.ended("left", None, ["right"])
    assert capsys.readouterr().err == "start left\nend left, 0 s\n"


def test_a_terminal_shows_one_line(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress(1, {"left": 30.0, "right": 90.0}) as progress:
        progress.started("left")
        clock[0] = 20.0
        progress.show(3, 5, ["left", "right"])
    assert "3/5 stages, about 2 min left; now left 20 s" in terminal.getvalue()
