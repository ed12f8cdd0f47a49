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

DONE: Final = b"+"
TOO_LARGE: Final = b">"
"""Its length is what is too large; there is no content."""
NOT_WHOLE: Final = b"!"
NO_MEMORY: Final = b"m"
CRASHED: Final = b"x"
ANSWER: Final = Struct(">cI")
"""What came of it, and how many bytes follow."""
_JOB: Final = Struct(">cIIIId")
_MOST_SAID_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Job:
    """What to make of a picture, whose bytes follow."""

    task: bytes
    """SHOW for a preview, which is empty where none fits, or STRIP for pixels without metadata."""
    most_bytes: int
    """How large the answer may be."""
    most_pixels: int
    preview_px: int = 0
    """How large a preview may be; 0 for none: then it is only seen whether the picture is whole."""
    size_bytes: int = 0
    within_seconds: float = 0.0
    """After which the process ends by itself, should its parent be there no longer."""

    def to_bytes(self) -> bytes:
        return _JOB.pack(*astuple(self))


def main() -> None:
    """Decode until stdin ends."""
    # Here, because the parent has no use for Pillow.
    from runapi_mcp.images import pixels

    _ = pixels
    while len(header := sys.stdin.buffer.read(_JOB.size)) == _JOB.size:
        job = Job(*_JOB.unpack(header))
        faulthandler.dump_traceback_later(job.within_seconds, exit=True)
        said, content = _answer(job, sys.stdin.buffer)
        faulthandler.cancel_dump_traceback_later()
        if said == DONE and len(content) > job.most_bytes:
            sys.stdout.buffer.write(ANSWER.pack(TOO_LARGE, len(content)))
        else:
            sys.stdout.buffer.write(ANSWER.pack(said, len(content)) + content)
        sys.stdout.buffer.flush()


def _answer(job: Job, stdin: BinaryIO) -> tuple[bytes, bytes]:
    from runapi_mcp.images.pixels import NotWhole, decode, preview, strip

    try:
        with decode(BytesIO(stdin.read(job.size_bytes)), job.most_pixels) as image:
            if job.task == STRIP:
                return DONE, strip(image)
            return DONE, preview(image, job.preview_px, job.most_bytes)
    except NotWhole:
        return NOT_WHOLE, b""
    except MemoryError:
        return NO_MEMORY, b""
    except Exception as error:  # noqa: BLE001 - the parent logs it
        said = f"{type(error).__name__}: {error}"[:_MOST_SAID_CHARACTERS]
        return CRASHED, said.encode(errors="replace")
