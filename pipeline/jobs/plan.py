"""What DVC would do, stage by stage, so that a driver can do it for several stages at a time.

The steps are those of `dvc.stage.Stage.run` in DVC 3.67, taken apart at the place where it runs the command: remove
the outputs, look into the run cache, hash the dependencies; then hash the outputs, fill the cache, write dvc.lock.
The plan holds DVC's lock on the repository from its beginning to its end: nobody else writes dvc.lock meanwhile.
"""

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic
from pipeline.core.runs import RUNS
from pipeline.jobs.decayed import remove_decayed
from pipeline.jobs.repository import open_repo

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage


class BusyError(PipelineError):
    """Another process of DVC is at work in the repository."""

    def __init__(self) -> None:
        super().__init__(
            "another `dvc` or `python -m pipeline repro` is at work in this repository; wait until it ends, and run it "
            "again"
        )


class Command(NamedTuple):
    """What a stage runs: lines of shell, the folder to run them in, and all variables of the environment.

    Another machine needs the inputs too, with DVC's hash of each, and the outputs; both are paths from the root.
    """

    lines: str
    folder: Path
    environment: Mapping[str, str]
    inputs: Mapping[str, str]
    outputs: Sequence[str]


@contextmanager
def open_plan(targets: Sequence[str]) -> Iterator["Plan"]:
    """Lock the repository and plan what `dvc repro TARGETS` would look at; without targets every stage of dvc.yaml.

    Raises BusyError if another process of DVC is at work, and PipelineError for every other error of DVC.
    """
    from dvc.repo import lock_repo

    logging.getLogger("dvc.progress").setLevel(logging.CRITICAL)  # DVC's bars would write into the driver's
    with open_repo() as repo, _errors_of_dvc(), lock_repo(repo):
        _remove_broken_rwlock(Path(repo.tmp_dir) / "rwlock")
        yield Plan(repo, targets)


class Plan:
    """The stages of a repository, ancestors first, and the steps of each."""

    def __init__(self, repo: "Repo", targets: Sequence[str]) -> None:
        from dvc.dvcfile import PROJECT_FILE
        from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

        self.repo = repo
        self.folder = Path(repo.tmp_dir) / "jobs"  # what a driver leaves for the next one; Git ignores it
        graph = get_active_graph(repo.index.graph)
        self.stages: list[Stage] = plan_repro(graph, collect_stages(repo, targets or [PROJECT_FILE]))
        self.upstream = {stage: set(graph.successors(stage)) for stage in self.stages}

    def settle(self, stage: "Stage") -> str | None:
        """Return "unchanged", or "restored" if the run cache had the outputs, or None if the stage has to run.

        The outputs of a stage that has to run are deleted. The ancestors of the stage have to be settled or finished.
        Raises PipelineError for an error of DVC.
        """
        from dvc.stage.cache import RunCacheNotFoundError

        with _errors_of_dvc():
            if not stage.changed():
                return "unchanged"
            if not stage.cmd or stage.frozen:  # pinned data, which DVC hashes anew
                stage.reproduce()
                stage.dump(update_pipeline=False)
                return "restored"
            stage.remove_outs()
            try:
                self.repo.stage_cache.restore(stage)
            except RunCacheNotFoundError:
                return None
            self._save(stage)
            if decayed := remove_decayed(stage):
                names = ", ".join(os.path.relpath(path) for path in decayed)
                print(
                    f"{names}: found bytes of another MD5 than its name; deleted; {stage.addressing} runs",
                    file=sys.stderr,
                )
                stage.remove_outs()
                return None
            _write_lock(stage)
            return "restored"

    def begin(self, stage: "Stage", variables: Mapping[str, str]) -> Command:
        """Hash the dependencies of a stage that is about to run, and return what is to run.

        `variables` join its environment. Raises PipelineError if a dependency is absent.
        """
        from dvc.dependency.param import ParamsDependency
        from dvc.stage.run import prepare_kwargs

        with _errors_of_dvc():
            stage.save_deps()
            process = prepare_kwargs(stage, dict(variables))
        lines = stage.cmd if isinstance(stage.cmd, list) else [stage.cmd]
        files = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
        inputs = {self._from_root(dep.fs_path): str(dep.hash_info.value) for dep in files}
        outputs = [self._from_root(out.fs_path) for out in stage.outs]
        return Command("\n".join(lines), Path(process["cwd"]), process["env"], inputs, outputs)

    def count_seeds(self, stage: "Stage") -> int:
        """Return the number of seeds of a training, a stage that writes times; 0 for any other stage."""
        from dvc.dependency.param import ParamsDependency

        if not any(Path(self._from_root(out.fs_path)).is_relative_to(RUNS / "times") for out in stage.outs):
            return 0
        params = [dep.read_params() for dep in stage.deps if isinstance(dep, ParamsDependency)]
        seeds = [each[name] for each in params for name in each if name in ("seeds", "fusion.seeds")]
        return max(map(len, seeds), default=1)

    def files(self, path: str) -> dict[str, Path]:
        """Return the files of an input, without those that DVC ignores, by their paths below it: "" for a file."""
        start = Path(self.repo.root_dir) / path
        if start.is_file():
            return {"": start}
        found = (Path(file) for file in self.repo.dvcignore.find(self.repo.fs, str(start)))
        return {str(file.relative_to(start)): file for file in sorted(found)}

    def finish(self, stage: "Stage") -> None:
        """Record a stage whose command ended well: its hashes in dvc.lock, its outputs in the caches.

        Raises PipelineError if a dependency is no longer that of `begin`, or if an output is absent.
        """
        with _errors_of_dvc():
            if changed := [str(dep) for dep in stage.deps if dep.status()]:
                raise PipelineError(
                    f"{', '.join(changed)} changed while the stage ran; its outputs are not recorded; run it again"
                )
            self._save(stage)
            _write_lock(stage)

    def _from_root(self, path: str) -> str:
        return os.path.relpath(path, self.repo.root_dir)

    def _save(self, stage: "Stage") -> None:
        """Hash the outputs of a stage, and fill the caches with them."""
        uncached = any(not out.use_cache for out in stage.outs if not (out.is_metric or out.is_plot))
        with self.repo.scm_context(quiet=True):
            stage.save(run_cache=not uncached)  # as DVC decides it: what lies in the run cache is restored later
            stage.commit()


def remaining(targets: Sequence[str]) -> list[str]:
    """Return the stages that `dvc status` would list, without those that always run."""
    with open_repo() as repo:
        status = repo.status(list(targets) or None, with_deps=bool(targets))
    return [name for name, entries in status.items() if entries != ["always changed"]]


def _remove_broken_rwlock(path: Path) -> None:
    """Remove DVC's list of files in use if a kill cut it while it was written: DVC then refuses every command.

    DVC writes the list under its lock on the repository, so that whoever holds that lock finds a whole list or the
    leftover of a process that is gone.
    """
    with suppress(FileNotFoundError):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            path.unlink()


@contextmanager
def _errors_of_dvc() -> Iterator[None]:
    """Raise errors of DVC as PipelineErrors."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    try:
        yield
    except LockError:
        raise BusyError from None
    except (DvcException, OSError) as error:  # of an absent file DVC tells nothing but that
        raise PipelineError(_explain(error)) from None


def _explain(error: BaseException) -> str:
    """Return the message of an error and of the errors that caused it, on one line."""
    cause = error.__cause__
    text = " ".join(str(error).split())
    return f"{text}: {_explain(cause)}" if cause and str(cause) not in text else text


def _write_lock(stage: "Stage") -> None:
    """Write a stage into its dvc.lock, whole or not at all: DVC itself writes into the file, and a kill cuts it."""
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import modify_yaml

    path = Path(stage.dvcfile.path).with_suffix(".lock")
    with atomic(path) as part:
        if path.exists():
            shutil.copyfile(path, part)
        with modify_yaml(part) as content:
            content.setdefault("schema", "2.0")
            content.setdefault("stages", {}).update(to_lockfile(stage))
