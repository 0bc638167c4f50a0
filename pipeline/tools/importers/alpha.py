"""Pictures that were saved without their alpha channel. An opaque one loses nothing: RGB stays as it is."""

import io
import struct
from pathlib import Path

from PIL import Image

from pipeline.core.sensors import IMAGE_SIZE
from pipeline.raw.format import DataError, Issue
from pipeline.raw.png import PNG

RGB_HEADER = b"IHDR" + struct.pack(">IIBB", IMAGE_SIZE, IMAGE_SIZE, 8, 2)  # width, height, bits, color type


def add_alpha(path: Path, content: bytes) -> bytes:
    """Return a PNG file of one RGB frame with an opaque alpha channel; any other content unchanged.

    `path` is for the message. Raises DataError for a damaged RGB file.
    """
    if not content.startswith(PNG) or content[12 : 12 + len(RGB_HEADER)] != RGB_HEADER:
        return content
    output = io.BytesIO()
    try:
        Image.open(io.BytesIO(content), formats=("PNG",)).verify()  # every chunk's checksum
        Image.open(io.BytesIO(content), formats=("PNG",)).convert("RGBA").save(output, "PNG")
    except Exception as error:  # foreign bytes make the parser raise almost anything, SyntaxError included
        reason = " ".join(str(error).split())
        raise DataError(Issue("damaged", path, reason, "a readable PNG file", "restore it")) from None
    return output.getvalue()
