"""Archives of any bytes and member names of any text: a set, or a refusal; never another error, no file outside."""

import io
import tarfile
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.tools.importers.import_dataset import import_dataset
from support.properties import FEW

NAMES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.sampled_from(["../up.png", "/abs.png", "C:\\x.png", "cubes/rgb/0000.png", "./cubes/lidar/0000.npy", "a\nb.npy"]),
)
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=60)), min_size=1, max_size=4, unique_by=lambda member: member[0])


def refuse(folder: Path, name: str, content: bytes) -> None:
    """Import a source that is no set; nothing but the source is left in its folder."""
    source = folder / name
    source.write_bytes(content)
    try:
        import_dataset(str(source), folder / "data", None, 0, False, False)
    except PipelineError as error:
        assert all(line.isprintable() for line in str(error).split("\n")), error
    else:
        raise AssertionError("a set without whole scenes was taken")
    assert [path.name for path in folder.iterdir()] == [name]


@FEW
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda tail: b"PK\x03\x04" + tail)))
def test_any_bytes_as_a_zip(tmp_path: Path, content: bytes) -> None:
    refuse(tmp_path, "set.zip", content)


@FEW
@given(MEMBERS)
def test_any_members_of_a_zip(tmp_path: Path, members: list[tuple[str, bytes]]) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content.hex())
    refuse(tmp_path, "set.zip", packed.getvalue())


@FEW
@given(MEMBERS)
def test_any_members_of_a_tar(tmp_path: Path, members: list[tuple[str, bytes]]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", errors="surrogateescape") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    refuse(tmp_path, "set.tar.gz", packed.getvalue())


@FEW
@given(st.binary(max_size=200))
def test_any_bytes_as_parquet(tmp_path: Path, content: bytes) -> None:
    refuse(tmp_path, "set.parquet", content)
