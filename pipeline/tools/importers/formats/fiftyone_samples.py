"""The samples of a FiftyOneDataset folder: samples.json, read piece by piece, since it may have any size."""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pipeline.core.sensors import CLASS_NAMES, CLASSES
from pipeline.raw.format import DataError, Issue
from pipeline.tools.importers.formats.locate import with_slashes

CHUNK_BYTES = 1 << 20  # read at a time
MAX_SAMPLES = 1_000_000
LABEL_FIELDS = ("label", "ground_truth")  # looked at first; a prediction is not a label


class Sample(NamedTuple):
    """What one sample of samples.json declares."""

    group: str
    slice: str
    path: str
    label: int | None
    scene: int | None
    depth_span: tuple[int, int] | None  # the bytes of the sample in samples.json, if it holds a depth map


def read_samples(path: Path) -> Iterator[Sample]:
    """Yield every sample of a samples.json. Raises DataError for a file that FiftyOne does not write."""
    for count, (start, stop, fields) in enumerate(_read_objects(path)):
        if count >= MAX_SAMPLES:
            hint = "export a part of them"
            raise DataError(Issue("too-many", path, f"over {MAX_SAMPLES:,} samples", "fewer", hint))
        try:
            group, file = fields["group"], with_slashes(str(fields["filepath"]))  # Windows exports have `\\`
            scene, tags = fields.get("scene"), fields.get("tags") or []
            yield Sample(
                str(group["_id"]),
                str(group["name"]),
                file,
                _label(fields, [*map(str, tags), *PurePosixPath(file).parts]),
                scene if isinstance(scene, int) else None,
                (start, stop) if fields.get("depth") else None,
            )
        except (KeyError, TypeError) as error:
            raise not_an_export(path, f"a sample without {error}; is it a grouped data set?") from None


def _read_objects(path: Path) -> Iterator[tuple[int, int, dict]]:
    """Yield (first byte, last byte + 1, content) of every object in the list `samples`; one at a time is in memory."""
    decoder = json.JSONDecoder()
    with path.open("rb") as file:
        text = file.read(CHUNK_BYTES).decode("latin-1")  # one character a byte, so that positions in both are equal
        head = re.match(r'\s*{\s*"samples"\s*:\s*\[', text)
        if not head:
            raise not_an_export(path, f"{text[:40]!r}")
        text, position = text[head.end() :], head.end()
        while True:
            skipped = len(text) - len(text.lstrip(" \n\r\t,"))
            text, position = text[skipped:], position + skipped
            if text.startswith("]"):
                return
            try:
                _, length = decoder.raw_decode(text)
                fields = json.loads(text[:length].encode("latin-1"))
            except (ValueError, RecursionError) as error:
                chunk = file.read(CHUNK_BYTES) if len(text) <= 4 * CHUNK_BYTES else b""
                if not chunk:
                    raise not_an_export(path, error) from None
                text += chunk.decode("latin-1")
                continue
            yield position, position + length, fields
            text, position = text[length:], position + length


def _label(fields: dict[str, Any], words: list[str]) -> int | None:
    """Return the class that a sample's fields name, else its `words`: tags and parts of its path.

    A field with a confidence is a net's prediction and does not count.
    """
    others = [name for name in fields if name not in LABEL_FIELDS and not name.startswith("prediction")]
    labels = [fields[name] for name in (*LABEL_FIELDS, *others) if isinstance(fields.get(name), dict)]
    names = [label.get("label") for label in labels if label.get("confidence") is None]
    for word in (*names, *words):
        for label in range(len(CLASSES)):
            if str(word).lower() in (CLASSES[label], CLASS_NAMES[label]):
                return label
    return None


def not_an_export(path: Path, reason: object) -> DataError:
    """Return the error for a file that FiftyOne does not write."""
    found = " ".join(str(reason).split())[:200]
    return DataError(Issue("not-fiftyone", path, found, "what FiftyOne exports", "export the data set again"))
