"""The process in which wandb runs, started by `wandb_run`: messages come in, at most two lines go out.

It ends with the training, whatever becomes of either: from the end of its messages on, its time is limited.
"""

import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, Literal

from pipeline.tracking.media import Predictions, to_wandb
from pipeline.tracking.provenance import read_provenance
from pipeline.tracking.wandb_run import decode, in_short, kill_tree, wandb_folder


def main() -> None:
    messages, answers = _take_pipes()
    first = json.loads(messages.readline())
    inbox: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_receive, args=(messages, inbox, first["grace_s"]), daemon=True).start()
    run: Any = None
    try:
        run, answer = open_run(first["name"], first["config"], first["mode"], first["timeout_s"])
        _write_line(answers, answer)
        while (message := inbox.get())["method"] != "finish":
            METHODS[message.pop("method")](run, **message)
        run.finish(exit_code=message["exit_code"])
    except Exception as error:
        _write_line(answers, f"is off for {first['name']}: {in_short(error)}")
        with suppress(Exception):
            run.finish(exit_code=1)
        kill_tree(os.getpid())  # Python would not end before wandb answers, which may hang


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return both pipes to the training, and put the null device in their place for wandb and all that it starts."""
    pipes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return pipes


def _receive(messages: BinaryIO, inbox: SimpleQueue[dict[str, Any]], grace_s: float) -> None:
    """Queue the messages; a training that ends without `finish` failed. Kill this process `grace_s` seconds later."""
    for line in messages:
        inbox.put(json.loads(line, object_hook=decode))
    inbox.put({"method": "finish", "exit_code": 1})
    time.sleep(grace_s)
    kill_tree(os.getpid())


def _write_line(stream: BinaryIO, text: str) -> None:
    with suppress(OSError):  # the training has ended
        stream.write(text.encode() + b"\n")
        stream.flush()


def open_run(name: str, config: dict[str, Any], mode: str, timeout_s: float) -> tuple[Any, str]:
    """Return a run of wandb, and the reason if it had to stay offline."""
    if mode == "offline":
        return _init("offline", name, config, timeout_s), ""
    try:
        _require_server(timeout_s / 3)
        return _init("online", name, config, timeout_s), ""
    except Exception as error:
        return _init("offline", name, config, timeout_s), f"stays offline for {name}: {in_short(error)}"


def _require_server(timeout_s: float) -> None:
    """Raise OSError at once if there is no network; wandb itself would try for long."""
    address = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    with suppress(urllib.error.HTTPError):  # any answer shows that there is a server
        urllib.request.urlopen(address, timeout=timeout_s).close()


def _init(mode: Literal["online", "offline"], name: str, config: dict[str, Any], timeout_s: float) -> Any:
    import wandb  # slow to import

    known = read_provenance()
    settings = wandb.Settings(
        silent=True,
        console="off",
        init_timeout=timeout_s,
        disable_git=True,  # read_provenance has the commit; wandb would copy the remote and all differences too
        x_disable_stats=True,
        x_save_requirements=False,
    )
    run = wandb.init(
        mode=mode,
        dir=wandb_folder().parent,
        project=os.environ.get("WANDB_PROJECT", "rgb-lidar-cilp"),
        name=name,
        job_type=name.split("/")[0],
        group=known.get("experiment") or known.get("commit", "")[:7] or None,
        config=config | known,
        settings=settings,
    )
    run.define_metric("*", step_metric="epoch", summary="none")  # the summary holds the stage's own metrics alone
    return run


def log(run: Any, row: dict[str, float]) -> None:
    run.log(row)


def log_predictions(run: Any, **arrays: Any) -> None:
    run.log(to_wandb(Predictions(**arrays)))


def update_summary(run: Any, metrics: dict[str, Any]) -> None:
    run.summary.update(metrics)


def log_checkpoint(run: Any, path: str, metrics: dict[str, Any]) -> None:
    """Log one checkpoint, that of its best epoch, as an artifact; its aliases are names to find this version by."""
    import wandb

    file = Path(path)
    artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", run.name), type="model", metadata=metrics)
    artifact.add_file(path)
    run.log_artifact(artifact, aliases=["best", *([run.group] if run.group else []), file.stem])


METHODS: dict[str, Callable[..., None]] = {
    "log": log,
    "log_predictions": log_predictions,
    "update_summary": update_summary,
    "log_checkpoint": log_checkpoint,
}

if __name__ == "__main__":
    main()
