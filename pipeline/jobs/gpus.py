"""The GPUs of this machine: which of them stages compute on, and how many stages share one."""

import os
from collections.abc import Sequence

from pipeline.core.errors import PipelineError, printable
from pipeline.core.slots import SHARED_GPU


class Gpus:
    """Places for stages, `per_gpu` on each GPU; without GPUs, a CPU computes and stages need no place."""

    def __init__(self, names: Sequence[str], per_gpu: int) -> None:
        """Take the name of each GPU as `find_gpus` returns it."""
        self._free = [*names] * per_gpu
        self._held: dict[str, str] = {}  # the GPU of each stage that runs
        self._shared = per_gpu > 1

    def bound(self, slots: int) -> int:
        """Return how many stages may run at a time, of at most `slots`."""
        return min(slots, len(self._free) + len(self._held)) or slots

    def take(self, stage: str) -> dict[str, str]:
        """Give a stage a place on the GPU that has most free, and return the variables by which it computes there."""
        if not self._free:
            return {}
        self._held[stage] = max(self._free, key=self._free.count)
        self._free.remove(self._held[stage])
        # `cuda`: on a GPU without kernels a stage of `auto` would compute on the CPU, with other results
        variables = {"CUDA_VISIBLE_DEVICES": self._held[stage], "DEVICE": "cuda"}
        return variables | ({SHARED_GPU: "1"} if self._shared else {})

    def free(self, stage: str) -> None:
        """Free the place of a stage, where it has one."""
        if stage in self._held:
            self._free.append(self._held.pop(stage))


def find_gpus(requested: str | None, per_gpu: int) -> list[str]:
    """Return the name of each GPU that stages may use, as CUDA_VISIBLE_DEVICES takes it; none if the CPU computes.

    `requested` has numbers as torch counts: from 0, among the GPUs that CUDA_VISIBLE_DEVICES shows. The default is the
    first GPU with all others of its compute capability. Raises PipelineError for other numbers, for GPUs of unlike
    capability, and if there is no GPU although `requested` or `per_gpu` needs one.
    """
    from torch import cuda  # over a second, which a run with nothing to do saves

    from pipeline.core.device import find_device

    if find_device().type != "cuda":
        if requested is None and per_gpu == 1:
            return []
        asked = f"PER_GPU={per_gpu}" if requested is None else f"GPUS={printable(requested)}"
        raise PipelineError(
            f"{asked}: found no GPU to compute on (DEVICE is {os.environ.get('DEVICE') or 'auto'}); expected one; "
            "leave GPUS and PER_GPU out, or set DEVICE to cuda for the reason"
        )
    capabilities = [cuda.get_device_capability(index) for index in range(cuda.device_count())]
    if requested is None:
        chosen = [index for index, each in enumerate(capabilities) if each == capabilities[0]]
    else:
        chosen = _parse(requested, len(capabilities))
    if len(found := {"{}.{}".format(*capabilities[index]) for index in chosen}) > 1:
        raise PipelineError(
            f"GPUS={requested}: found compute capabilities {' and '.join(sorted(found))}; expected equal ones, as "
            "others round differently; name GPUs of one kind"
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in visible.split(",")] if visible else list(map(str, range(len(capabilities))))
    return [names[index] for index in chosen]


def _parse(requested: str, count: int) -> list[int]:
    """Return the numbers of GPUS; raises PipelineError unless they are among `count` GPUs, each once."""
    known = {str(index): index for index in range(count)}
    numbers = [number.strip() for number in requested.split(",")]
    if not all(number in known for number in numbers) or len(set(numbers)) < len(numbers):
        expected = "0" if count == 1 else f"some of {', '.join(known)}, each once, with commas between them"
        raise PipelineError(
            f"GPUS={printable(requested)}: found {count} GPU{'s' * (count > 1)} by CUDA_VISIBLE_DEVICES; "
            f"expected {expected}; set GPUS to that or leave it out"
        )
    return [known[number] for number in numbers]
