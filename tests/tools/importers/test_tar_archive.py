"""Tar archives: plain and packed ones come in, hostile ones are refused before anything is written."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.raw.format import DataError
from pipeline.tools.importers.formats.archive_member import MAX_MEMBERS
from pipeline.tools.importers.import_dataset import import_dataset
from pipeline.tools.importers.open_source import open_source
from support.sets import MAX_MEMORY, open_measured, same


def pack_tar(path: Path, folder: Path, prefix: str = "./assessment/", only: str = "", mode: str = "w:gz") -> Path:
    """Write the files of a folder whose names begin with `only` as a tar archive."""
    with tarfile.open(path, mode, format=tarfile.GNU_FORMAT) as archive:
        for each in sorted(folder.rglob("*.*")):
            name = each.relative_to(folder).as_posix()
            if name.startswith(only):
                archive.add(each, prefix + name)
    return path


def refused(where: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_source(str(where))
    return str(caught.value)


def add(archive: tarfile.TarFile, name: str, content: bytes = b"evil", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(content))


# --- honest


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2"])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_archive_comes_in_byte_for_byte(raw_folder: Path, tmp_path: Path, mode: str, format: int) -> None:
    home = "x" * 90 + "/" + "y" * 60  # names that need a header of their own in GNU and pax
    with tarfile.open(tmp_path / "set", mode, format=format) as archive:
        archive.add(raw_folder, home)
        add(archive, "notes.txt", b"not a frame")
    source = open_source(str(tmp_path / "set"))
    assert source.notes == (f"the set lies in {home}/", "1 other file was ignored: notes.txt")
    assert source.display_path("cubes/rgb/0001.png") == tmp_path / f"set:{home}/cubes/rgb/0001.png"
    import_dataset(str(tmp_path / "set"), tmp_path / "data")
    assert same(tmp_path / "data", raw_folder)


def test_backslashes_between_folders_are_understood_and_noted(raw_folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        for path in sorted(raw_folder.rglob("*.*")):
            archive.add(path, ".\\" + path.relative_to(raw_folder).as_posix().replace("/", "\\"))
    note = "28 names have \\ between folders, such as .\\cubes\\azimuth.npy"
    assert import_dataset(str(tmp_path / "set.tar.gz"), tmp_path / "data").notes == [note]
    assert same(tmp_path / "data", raw_folder)


def test_several_archives_in_a_folder_are_one_set(raw_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("cubes", "spheres"):
        pack_tar(tmp_path / f"in/{name}.tar.gz", raw_folder / name, prefix="")
    import_dataset(str(tmp_path / "in"), tmp_path / "data")
    assert same(tmp_path / "data", raw_folder)


def test_the_fingerprint_is_of_the_bytes_not_of_the_packing(raw_folder: Path, tmp_path: Path) -> None:
    first = open_source(str(pack_tar(tmp_path / "set.tar.gz", raw_folder))).fingerprint
    assert open_source(str(pack_tar(tmp_path / "set.tar.bz2", raw_folder, mode="w:bz2"))).fingerprint == first
    plain = pack_tar(tmp_path / "set.tar", raw_folder, mode="w")
    with tarfile.open(plain, "a") as archive:
        add(archive, "assessment/cubes/rgb/0006.png", b"more")
    assert open_source(str(plain)).fingerprint != first


def test_a_hard_link_to_an_earlier_member_is_that_member(raw_folder: Path, tmp_path: Path) -> None:
    """As tar writes two names of one file, which a cache of hard links has."""
    pack_tar(tmp_path / "set.tar", raw_folder, mode="w", only="cubes")
    with tarfile.open(tmp_path / "set.tar", "a") as archive:
        for path in sorted((raw_folder / "spheres").glob("*/*")):
            archive.add(path, f"./assessment/{path.relative_to(raw_folder).as_posix()}")
        for angle in ("azimuth", "zenith"):
            target = f"./assessment/cubes/{angle}.npy"
            add(archive, f"./assessment/spheres/{angle}.npy", b"", type=tarfile.LNKTYPE, linkname=target)
    import_dataset(str(tmp_path / "set.tar"), tmp_path / "data")
    assert same(tmp_path / "data", raw_folder)


# --- half an archive, or another


def test_a_partial_download_is_named_as_such(raw_folder: Path, tmp_path: Path) -> None:
    packed = pack_tar(tmp_path / "set.tar.gz", raw_folder).read_bytes()
    plain = gzip.decompress(packed)
    damaged = bytearray(packed)
    damaged[-6] ^= 1  # gzip's checksum
    negative = tmp_path / "negative.tar"
    with tarfile.open(negative, "w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, "cubes/rgb/0000.png", pax_headers={"size": "-5"})
    header = bytearray(plain)
    header[header.index(b"./assessment/spheres/lidar/0003.npy") + 100] ^= 1  # tar's own checksum no longer fits
    between = plain[: plain.index(b"./assessment/spheres/lidar/0003.npy")]  # members, all of them whole
    for content in (
        packed[: len(packed) // 2],
        packed[:-1],
        plain[: len(plain) // 2],
        between,
        damaged,
        header,
        negative.read_bytes(),
        b"BZh9",
    ):
        (tmp_path / "part.tar").write_bytes(content)
        message = refused(tmp_path / "part.tar")
        assert "part.tar: found a tar file cut short or damaged" in message and "\n" not in message


@pytest.mark.parametrize(
    "name, content, found",
    [
        ("set.7z", b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive"),
        ("set.rar", b"Rar!\x1a\x07\1\0", "a RAR archive"),
        ("set.tar.xz", lzma.compress(b"x"), "a file packed by xz"),
        ("set.tar.zst", b"\x28\xb5\x2f\xfd", "a file packed by Zstandard"),
    ],
)
def test_another_archive_is_named_with_the_way_out(tmp_path: Path, name: str, content: bytes, found: str) -> None:
    (tmp_path / name).write_bytes(content)
    for where in (tmp_path / name, tmp_path):
        message = f"{name}: found {found}; expected a zip or tar archive; unpack it and name the folder"
        assert refused(where).endswith(message)


def test_a_full_disk_is_named(raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(28, "No space left on device")

    pack_tar(tmp_path / "set.tar.gz", raw_folder)
    monkeypatch.setattr("tempfile.TemporaryFile", FullDisk)
    with pytest.raises(PipelineError, match="no room to unpack .*set.tar.gz .No space left.*another folder in TMPDIR"):
        open_source(str(tmp_path / "set.tar.gz"))


# --- hostile


def member(name: str, **fields: object) -> Callable[[tarfile.TarFile], None]:
    return lambda archive: add(archive, name, **fields)


def sparse(archive: tarfile.TarFile) -> None:
    """Add a file that declares a terabyte in no bytes."""
    fields = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    add(archive, "cubes/rgb/9999.png", b"0\n".ljust(512, b"\0"), pax_headers=fields)


HOSTILE = {
    "absolute": (member("/tmp/evil.png"), "/tmp/evil.png: found a name that leads out"),
    "above": (member("../../evil.png"), "evil.png: found a name that leads out"),
    "above in the middle": (member("cubes/../../rgb/0000.png"), "found a name that leads out"),
    "above by backslashes": (member("cubes\\..\\..\\evil.png"), "found a name that leads out"),
    "server": (member("\\\\server\\evil.png"), "found a name that leads out"),
    "drive": (member("C:evil.png"), "found a name that leads out"),
    "link": (
        member("cubes/rgb/9999.png", content=b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "9999.png: found a link; expected files and folders; pack what the links lead to: `tar -h`",
    ),
    "hard link": (
        member("cubes/rgb/9999.png", content=b"", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        "9999.png: found a link",
    ),
    "pipe": (member("cubes/rgb/9999.png", content=b"", type=tarfile.FIFOTYPE), "9999.png: found a device or pipe"),
    "device": (member("cubes/rgb/9999.png", content=b"", type=tarfile.CHRTYPE), "9999.png: found a device or pipe"),
    "sparse": (sparse, "9999.png: found a sparse file"),
    "long header": (member("a", pax_headers={"comment": "x" * 100_000}), "found a header of .* bytes"),
    "bomb": (member("notes.txt", content=bytes(80 << 20)), "bytes packed in .* expected at most 200 to 1"),
    "a thousand": (lambda archive: [add(archive, f"/{n}") for n in range(2000)], "/0: found a name that leads out"),
    "one name twice": (member("assessment/cubes/rgb/0001.png"), "cubes/rgb/0001.png: found other bytes than"),
}


@pytest.mark.parametrize("plant, words", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_before_anything_is_written(
    raw_folder: Path, tmp_path: Path, plant: Callable[[tarfile.TarFile], None], words: str
) -> None:
    pack_tar(tmp_path / "set.tar", raw_folder, mode="w")
    with tarfile.open(tmp_path / "set.tar", "a", format=tarfile.PAX_FORMAT) as archive:
        plant(archive)
    packed = tmp_path / "set.tar.gz"
    packed.write_bytes(gzip.compress((tmp_path / "set.tar").read_bytes()))
    (tmp_path / "set.tar").unlink()
    with pytest.raises(DataError, match=words) as caught:
        import_dataset(str(packed), tmp_path / "data")
    assert "cut short" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["set.tar.gz"]


def test_a_frame_that_declares_a_large_size_is_not_read(raw_folder: Path, tmp_path: Path) -> None:
    pack_tar(tmp_path / "set.tar", raw_folder, prefix="", mode="w")
    with tarfile.open(tmp_path / "set.tar", "a") as archive:
        add(archive, "cubes/rgb/0006.png", bytes((1 << 20) + 1))
        add(archive, "cubes/rgb/0007.png", b"")
    source = open_source(str(tmp_path / "set.tar"))
    for scene, found in (("0006", "1,048,577 bytes; expected at most 1,048,576"), ("0007", "0 bytes")):
        with pytest.raises(DataError, match=f"{scene}.png: found {found}"):
            source.read(source.files[f"cubes/rgb/{scene}.png"])


def test_frames_without_end_do_not_fill_the_disk(
    raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(path.stat().st_size for path in raw_folder.rglob("*.*"))
    pack_tar(tmp_path / "set.tar", raw_folder)
    monkeypatch.setattr("pipeline.tools.importers.formats.tar_archive.MAX_FRAMES_BYTES", size)
    assert len(open_source(str(tmp_path / "set.tar")).files) == 28
    monkeypatch.setattr("pipeline.tools.importers.formats.tar_archive.MAX_FRAMES_BYTES", size - 1)
    assert f"set.tar: found frames of over {size - 1:,} bytes; expected one data set" in refused(tmp_path / "set.tar")


def headers(count: int, type: bytes, size: int) -> bytes:
    """Return `count` headers of one type, each of which declares `size` bytes."""
    info = tarfile.TarInfo("a")
    info.type, info.size = type, size
    return info.tobuf(tarfile.GNU_FORMAT) * count


@pytest.mark.slow
@pytest.mark.parametrize(
    "content, words",
    [
        (lambda: headers(MAX_MEMBERS + 1, tarfile.REGTYPE, 0), "over 100,000 members"),
        (lambda: (headers(1, tarfile.XGLTYPE, 512) + bytes(512)) * 3000, "cut short or damaged"),
        (lambda: (headers(1, tarfile.GNUTYPE_LONGNAME, 512) + bytes(512)) * 3000, "cut short or damaged"),
        (lambda: headers(1, tarfile.XHDTYPE, 1 << 30), "a header of 1,073,741,824 bytes"),
        (lambda: headers(1, tarfile.REGTYPE, 8 << 30), "cut short or damaged"),
    ],
    ids=["members", "global headers", "long names", "one header", "one member"],
)
def test_headers_without_end_take_no_memory(tmp_path: Path, content: Callable[[], bytes], words: str) -> None:
    (tmp_path / "set.tar").write_bytes(content() + bytes(1024))
    message, peak = open_measured(tmp_path / "set.tar")
    assert words in message and peak < MAX_MEMORY


@pytest.mark.slow
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_bombs_take_no_memory(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """A quarter of a gigabyte in one member, and 64 frames of a megabyte."""
    frame = tarfile.TarInfo("cubes/rgb/0000.png")
    frame.size = 1 << 20
    large = headers(1, tarfile.REGTYPE, 256 << 20) + bytes(256 << 20)
    for content in (large, (frame.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)) * 64):
        (tmp_path / "set.tar").write_bytes(compress(content + bytes(1024)))
        message, peak = open_measured(tmp_path / "set.tar")
        assert "expected at most 200 to 1" in message and peak < MAX_MEMORY
