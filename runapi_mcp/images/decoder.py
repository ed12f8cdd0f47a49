"""A process that decodes pictures: jobs come on stdin, answers leave on stdout.

A picture that hangs, crashes or takes over its decoder does so here, where there is no key, no
ledger, no network client and nobody else's picture. Its parent imports this for what both agree on.
"""

import faulthandler
import sys
from dataclasses import astuple, dataclass
from io import BytesIO
from struct import Struct
from typing import BinaryIO, Final

SHOW: Final = b"p"
STRIP: Final = b"s"
CONVERT: Final = b"c"

DONE: Final = b"+"
TOO_LARGE: Final = b">"
"""Its length is what is too large; there is no content."""
NOT_WHOLE: Final = b"!"
SEVERAL: Final = b"n"
NO_MEMORY: Final = b"m"
CRASHED: Final = b"x"
ANSWER: Final = Struct(">cI")
"""What came of it, and how many bytes follow."""
_JOB: Final = Struct(">cIII4sId4sII?B")
_MOST_SAID_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Conversion:
    """What another picture is made of one, of its pixels and colours alone. Nothing is enlarged."""

    format: bytes
    """As Pillow calls it: PNG, JPEG or WEBP."""
    width: int = 0
    """How wide it may be; 0 for as wide as it is."""
    height: int = 0
    crops: bool = False
    """Whether width and height are its shape, which what sticks out is cut off for."""
    quality: int = 0
    """1 to 100; 0 for the usual one."""

    @property
    def format_name(self) -> str:
        return _unpadded(self.format)


@dataclass(frozen=True, slots=True)
class Job:
    """What to make of a picture, whose bytes follow."""

    task: bytes
    """SHOW for a preview, which is empty where none fits, STRIP for pixels without metadata, or
    CONVERT."""
    most_bytes: int
    """How large the answer may be."""
    most_pixels: int
    preview_px: int = 0
    """How large a preview may be; 0 for none: then it is only seen whether the picture is whole."""
    opens: bytes = b""
    """The one format that is opened, as Pillow calls it; empty for those that RunAPI takes."""
    size_bytes: int = 0
    within_seconds: float = 0.0
    """After which the process ends by itself, should its parent be there no longer."""
    conversion: Conversion = Conversion(b"PNG")

    def to_bytes(self) -> bytes:
        *own, conversion = astuple(self)
        return _JOB.pack(*own, *conversion)

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Job":
        *own, name, width, height, crops, quality = _JOB.unpack(packed)
        wanted = Conversion(name, width, height, crops, quality)
        return cls(*own, conversion=wanted)


def main() -> None:
    """Decode until stdin ends."""
    # Here, because the parent has no use for Pillow.
    from runapi_mcp.images import pixels, transcoding

    _ = pixels, transcoding
    while len(header := sys.stdin.buffer.read(_JOB.size)) == _JOB.size:
        job = Job.from_bytes(header)
        faulthandler.dump_traceback_later(job.within_seconds, exit=True)
        said, content = _answer(job, sys.stdin.buffer)
        faulthandler.cancel_dump_traceback_later()
        if said == DONE and len(content) > job.most_bytes:
            sys.stdout.buffer.write(ANSWER.pack(TOO_LARGE, len(content)))
        else:
            sys.stdout.buffer.write(ANSWER.pack(said, len(content)) + content)
        sys.stdout.buffer.flush()


def _answer(job: Job, stdin: BinaryIO) -> tuple[bytes, bytes]:
    from runapi_mcp.images.pixels import NotWhole, Several, decode, preview, strip
    from runapi_mcp.images.transcoding import transcode

    try:
        content = BytesIO(stdin.read(job.size_bytes))
        with decode(content, job.most_pixels, _unpadded(job.opens)) as image:
            if job.task == CONVERT:
                return DONE, transcode(image, job.conversion)
            if job.task == STRIP:
                return DONE, strip(image)
            return DONE, preview(image, job.preview_px, job.most_bytes)
    except NotWhole:
        return NOT_WHOLE, b""
    except Several:
        return SEVERAL, b""
    except MemoryError:
        return NO_MEMORY, b""
    except Exception as error:  # noqa: BLE001 - the parent logs it
        said = f"{type(error).__name__}: {error}"[:_MOST_SAID_CHARACTERS]
        return CRASHED, said.encode(errors="replace")


def _unpadded(packed: bytes) -> str:
    return packed.rstrip(b"\0").decode()
