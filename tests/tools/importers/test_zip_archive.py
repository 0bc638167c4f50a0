"""Zip archives: honest ones as people have them come in, hostile ones are refused before anything is written."""

import io
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.raw.format import DataError
from pipeline.tools.importers.formats.archive_member import MAX_MEMBERS
from pipeline.tools.importers.formats.zip_archive import MEMBER_MAGIC
from pipeline.tools.importers.import_dataset import import_dataset
from pipeline.tools.importers.open_source import open_source
from support.sets import MAX_MEMORY, open_measured, pack, same


def add(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        for info, content in members:
            file.writestr(info, content)
    return path


def refused(where: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_source(str(where))
    return str(caught.value)


# --- honest


def test_an_archive_comes_in_byte_for_byte(raw_folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "set.zip", raw_folder, "assessment/")
    add(
        tmp_path / "set.zip",
        ("assessment/lidar_cnn.pt", bytes(range(256)) * 9000),
        ("__MACOSX/cubes/rgb/._0.png", b"x"),
    )
    source = open_source(str(tmp_path / "set.zip"))
    assert source.notes[0] == "the set lies in assessment/"
    assert source.display_path("cubes/rgb/0001.png") == tmp_path / "set.zip:assessment/cubes/rgb/0001.png"
    import_dataset(str(tmp_path / "set.zip"), tmp_path / "data", None, 0, False)
    assert same(tmp_path / "data", raw_folder)


@pytest.mark.parametrize(
    "spell, notes",
    [
        (lambda name: f"./{name}", ()),
        (lambda name: f"./a/./b//{name}", ("the set lies in a/b/",)),
        (lambda name: name.replace("/", "\\"), ("28 names have \\ between folders, such as cubes\\azimuth.npy",)),
    ],
    ids=["bsdtar", "dots in the middle", "backslashes"],
)
def test_names_as_other_tools_write_them_are_understood(
    raw_folder: Path, tmp_path: Path, spell: Callable[[str], str], notes: tuple[str, ...]
) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        file.writestr(spell("cubes/rgb/"), b"")
        for path in sorted(raw_folder.rglob("*.*")):
            file.writestr(spell(path.relative_to(raw_folder).as_posix()), path.read_bytes())
    source = open_source(str(tmp_path / "set.zip"))
    assert source.notes == notes
    assert str(source.display_path("cubes/rgb/0009.png")).endswith("cubes/rgb/0009.png")
    import_dataset(str(tmp_path / "set.zip"), tmp_path / "data")
    assert same(tmp_path / "data", raw_folder)


@pytest.mark.parametrize(
    "parts",
    [
        {"cubes.zip": ("", "cubes"), "spheres.zip": ("", "spheres")},
        {"assessment-20260101T000000Z-001.zip": ("a/", "cubes/rgb"), "assessment-20260101T000000Z-002.zip": ("a/", "")},
    ],
    ids=["one archive a class", "parts of one download"],
)
def test_several_archives_in_a_folder_are_one_set(raw_folder: Path, tmp_path: Path, parts: dict) -> None:
    (tmp_path / "in").mkdir()
    for name, (prefix, only) in parts.items():
        pack(tmp_path / "in" / name, raw_folder, prefix, only)
    import_dataset(str(tmp_path / "in"), tmp_path / "data", None, 0, False)
    assert same(tmp_path / "data", raw_folder)


def test_archives_of_bare_classes_are_understood_by_their_names(raw_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("cubes", "spheres"):
        pack(tmp_path / f"in/{name}.zip", raw_folder / name)
    import_dataset(str(tmp_path / "in"), tmp_path / "data", None, 0, False)
    assert same(tmp_path / "data", raw_folder)


def test_the_fingerprint_is_of_the_bytes_not_of_the_file(raw_folder: Path, tmp_path: Path) -> None:
    pack(tmp_path / "set.zip", raw_folder)
    first = open_source(str(tmp_path / "set.zip")).fingerprint
    (tmp_path / "later").mkdir()
    shutil.copy(tmp_path / "set.zip", tmp_path / "later/set.zip")
    assert open_source(str(tmp_path / "later/set.zip")).fingerprint == first
    add(tmp_path / "set.zip", ("cubes/rgb/0006.png", b"more"))
    assert open_source(str(tmp_path / "set.zip")).fingerprint != first


# --- half an archive, or none


def test_a_partial_download_is_named_as_such(raw_folder: Path, tmp_path: Path) -> None:
    whole = pack(tmp_path / "set.zip", raw_folder).read_bytes()
    for name, content, words in (
        ("half.zip", whole[: len(whole) // 2], "a zip file cut short or damaged"),
        ("page.zip", b"<!DOCTYPE html><html>quota exceeded</html>", "a web page"),
        ("pointer.zip", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        ("empty.zip", b"", "b''"),
    ):
        (tmp_path / name).write_bytes(content)
        assert f"{name}: found {words}" in refused(tmp_path / name)


def test_a_damaged_member_is_named(raw_folder: Path, tmp_path: Path) -> None:
    path = pack(tmp_path / "set.zip", raw_folder)
    with zipfile.ZipFile(path) as file:
        info = file.getinfo("cubes/rgb/0001.png")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 60] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"set.zip:cubes/rgb/0001.png: found .*; expected a readable member"):
        import_dataset(str(path), tmp_path / "data", None, 0, False)
    assert [each.name for each in tmp_path.iterdir()] == ["set.zip"]


# --- hostile


def named(name: str) -> Callable[[Path], object]:
    return lambda path: add(path, (name, b"evil"))


def special(kind: int) -> Callable[[Path], object]:
    info = zipfile.ZipInfo("cubes/rgb/9999.png")
    info.external_attr = (kind | 0o777) << 16
    return lambda path: add(path, (info, b"/etc/passwd"))


def packed(method: int) -> Callable[[Path], object]:
    def plant(path: Path) -> None:
        with zipfile.ZipFile(path, "a", method) as file:
            file.writestr("cubes/rgb/9999.png", bytes(100))

    return plant


def encrypted(path: Path) -> None:
    """Set the flag of a password, in the list of members alone."""
    content = bytearray(add(path, ("cubes/rgb/9999.png", b"secret")).read_bytes())
    content[content.rindex(MEMBER_MAGIC) + 8] |= 1
    path.write_bytes(content)


def nameless(path: Path) -> None:
    size = (46).to_bytes(4, "little")
    path.write_bytes(MEMBER_MAGIC + bytes(42) + b"PK\x05\x06" + bytes(4) + b"\1\0\1\0" + size + bytes(6))


def zero_byte(path: Path) -> None:
    """Write a zero byte into a name by hand: zipfile cuts a name there."""
    content = add(path, ("cubes/rgb/X00.png", b"evil")).read_bytes()
    path.write_bytes(content.replace(b"cubes/rgb/X00.png", b"cubes/rgb/\x0000.png"))


def bomb(path: Path) -> None:
    """Write 80 MB of zeros beside the set: never read, but no honest archive has such."""
    add(path, ("cubes/notes.txt", bytes(80 << 20)))


def twice(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        add(path, ("cubes/rgb/0001.png", b"other bytes"))


HOSTILE = {
    "absolute": (named("/tmp/evil.png"), "/tmp/evil.png: found a name that leads out"),
    "above": (named("../../evil.png"), "../../evil.png: found a name that leads out"),
    "above in the middle": (named("cubes/../../rgb/0000.png"), "found a name that leads out"),
    "above by backslashes": (named("cubes\\..\\..\\evil.png"), "found a name that leads out"),
    "drive": (named("C:evil.png"), "found a name that leads out"),
    "drive with backslashes": (named("C:\\evil.png"), "found a name that leads out"),
    "absolute with a backslash": (named("\\evil.png"), "found a name that leads out"),
    "server": (named("\\\\server\\evil.png"), "found a name that leads out"),
    "zero byte": (zero_byte, "found the name 'cubes/rgb/.x0000.png'; expected names without a zero byte"),
    "one name twice, by backslashes": (
        named("cubes\\rgb\\0001.png"),
        "found other bytes than set.zip:cubes/rgb/0001.png",
    ),
    "one name twice, by ./": (named("./cubes/rgb/0001.png"), "cubes/rgb/0001.png: found other bytes than"),
    "no name": (nameless, "found a member without a name"),
    "link": (special(stat.S_IFLNK), "cubes/rgb/9999.png: found a link"),
    "pipe": (special(stat.S_IFIFO), "cubes/rgb/9999.png: found a device or pipe"),
    "encrypted": (encrypted, "cubes/rgb/9999.png: found an encrypted member"),
    "bzip2": (packed(zipfile.ZIP_BZIP2), "found compression method 12"),
    "lzma": (packed(zipfile.ZIP_LZMA), "found compression method 14"),
    "bomb": (bomb, "bytes packed in .* expected at most 200 to 1"),
    "one name twice": (twice, "cubes/rgb/0001.png: found other bytes than"),
}


@pytest.mark.parametrize("plant, words", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_before_anything_is_written(
    raw_folder: Path, tmp_path: Path, plant: Callable, words: str
) -> None:
    path = pack(tmp_path / "set.zip", raw_folder)
    plant(path)
    with pytest.raises(DataError, match=words.replace("..", r"\.\.") if words.startswith("..") else words):
        import_dataset(str(path), tmp_path / "data", None, 0, False)
    assert [each.name for each in tmp_path.iterdir()] == ["set.zip"]


def test_a_frame_that_declares_a_large_size_is_not_read(raw_folder: Path, tmp_path: Path) -> None:
    path = pack(tmp_path / "set.zip", raw_folder)
    add(path, ("cubes/rgb/0006.png", bytes((1 << 20) + 1)))
    source = open_source(str(path))
    with pytest.raises(DataError, match=r"0006.png: found 1,048,577 bytes; expected at most 1,048,576"):
        source.read(source.files["cubes/rgb/0006.png"])


@pytest.mark.parametrize("declared", [100, 1 << 20])
def test_a_frame_that_lies_about_its_size_gives_no_more_than_that(tmp_path: Path, declared: int) -> None:
    """50 MB of zeros declared as few: the reading ends there, and the checksum does not match."""
    path = add(tmp_path / "set.zip", ("cubes/rgb/0000.png", bytes(50 << 20)))
    content = path.read_bytes().replace((50 << 20).to_bytes(4, "little"), declared.to_bytes(4, "little"))
    path.write_bytes(content)
    source = open_source(str(path))
    with pytest.raises(DataError, match=r"0000.png: found Bad CRC-32"):
        source.read(source.files["cubes/rgb/0000.png"])


def crowd(path: Path, count: int) -> None:
    """Write an archive of nothing but members' names, each its number; by hand, since zipfile is slow."""
    head, tail = MEMBER_MAGIC + bytes(24) + (8).to_bytes(2, "little"), bytes(16)
    members = b"".join(head + tail + b"%08d" % number for number in range(count))
    counts = 2 * min(count, 65534).to_bytes(2, "little")
    end = b"PK\x05\x06" + bytes(4) + counts + len(members).to_bytes(4, "little") + bytes(6)
    path.write_bytes(members + end)


@pytest.mark.parametrize(
    "count, words", [(MAX_MEMBERS, "no frames"), (300_000, "members"), (2_000_000, "a list of members")]
)
def test_a_crowd_of_members_takes_no_memory(tmp_path: Path, count: int, words: str) -> None:
    crowd(tmp_path / "set.zip", count)
    message, peak = open_measured(tmp_path / "set.zip")
    assert words in message and peak < MAX_MEMORY


@pytest.mark.slow
def test_bombs_take_no_memory(tmp_path: Path) -> None:
    """A quarter of a gigabyte in one member, and 50 MB in each of four."""
    packer = io.BytesIO()
    with zipfile.ZipFile(packer, "w", zipfile.ZIP_DEFLATED) as file, file.open("cubes/rgb/0000.png", "w") as member:
        for _ in range(256):
            member.write(bytes(1 << 20))
    (tmp_path / "one.zip").write_bytes(packer.getvalue())
    add(tmp_path / "many.zip", *((f"cubes/rgb/{n:04d}.png", bytes(50 << 20)) for n in range(4)))
    for name in ("one.zip", "many.zip"):
        message, peak = open_measured(tmp_path / name)
        assert "expected at most 200 to 1" in message and peak < MAX_MEMORY
