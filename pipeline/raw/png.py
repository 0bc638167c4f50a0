"""The structure of PNG files: signature, header, chunks with checksums. No path, no issue, no pixel is decoded here."""

import struct
import zlib
from typing import NamedTuple

PNG = b"\x89PNG\r\n\x1a\n"  # the signature
PNG_HEADER_BYTES = 33  # the signature and the chunk IHDR
PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}  # color type of a PNG header -> Pillow's mode


class PngHeader(NamedTuple):
    """The claims of a PNG file about its picture."""

    width: int
    height: int
    bits: int
    color_type: int  # see PNG_MODES

    def __str__(self) -> str:
        mode = PNG_MODES.get(self.color_type, self.color_type)
        return f"PNG {mode} {self.bits} bit {self.width}x{self.height}"


def read_png_header(content: bytes) -> PngHeader:
    """Read the header from at least PNG_HEADER_BYTES of a file."""
    return PngHeader(*struct.unpack(">IIBB", content[16:26]))


def unpack_png(content: bytes, max_bytes: int) -> bytes:
    """Return the first `max_bytes` of the unpacked data, after checking every chunk's checksum, which Pillow skips.

    Raises ValueError if the file is damaged.
    """
    packed, place = [], len(PNG)
    try:
        while place < len(content):
            size, name = struct.unpack_from(">I4s", content, place)  # a chunk: size, name, data, checksum
            end = place + 8 + size
            (checksum,) = struct.unpack_from(">I", content, end)
            if checksum != zlib.crc32(content[place + 4 : end]):
                raise ValueError(f"a wrong checksum in its part {name.decode('latin-1')}")
            if name == b"IDAT":
                packed.append(content[place + 8 : end])
            place = end + 4
        return zlib.decompressobj().decompress(b"".join(packed), max_bytes)
    except (struct.error, zlib.error) as error:
        raise ValueError(str(error)) from error
