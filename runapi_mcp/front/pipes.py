"""The protocol's own stdin and stdout, line by line. Knows no protocol.

Nothing here waits for one end alone: who does not read its answers can still close its end.
"""

from __future__ import annotations

import os
import select
import sys
from io import BufferedReader, FileIO, RawIOBase
from time import monotonic
from typing import TYPE_CHECKING, Final

from runapi_mcp.front import starter

if TYPE_CHECKING:
    from typing_extensions import Buffer

LONGEST_QUESTION: Final = 65_536
"""What is asked at the start is shorter."""
LAST_WORD_SECONDS: Final = 0.8
"""How long an answer may take to leave once the host has closed its end."""
_MOST_AT_ONCE: Final = 65_536
# On Windows pipes cannot be waited for: there reads and writes wait by themselves.
_CAN_WAIT: Final = sys.platform != "win32"
_PIECE: Final = getattr(select, "PIPE_BUF", _MOST_AT_ONCE)
"""What a pipe takes at once when it takes anything."""


class Ended(Exception):
    """Nobody is there any more whom this process could serve."""


class Pipes:
    def __init__(self, stdin: int, stdout: int) -> None:
        self.stdout = stdout
        self.starter = starter.Starter()
        self._stdin = stdin
        self._read = b""
        self._is_at_end = False

    @classmethod
    def own(cls) -> Pipes:
        """This process's, from here on under descriptors that nobody else has.

        What else of it or its children reads stdin finds its end; other prints go to stderr.

        Raises:
            OSError: it has none.
        """
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            return cls(_claim(0, nothing), _claim(1, 2))
        finally:
            os.close(nothing)

    def line(self) -> bytes | None:
        """The next line, with its end; None where there is no short one.

        Raises:
            Ended: there are no more.
            OSError: nothing can be read.
        """
        while b"\n" not in self._read:
            if len(self._read) > LONGEST_QUESTION:
                return None
            if not self._is_at_end:
                self._wait_for_more()
                self._fill()
            elif self._read:
                return None
            else:
                raise Ended
        line, end, self._read = self._read.partition(b"\n")
        return line + end

    def unread(self, line: bytes) -> None:
        """Give a line back, to be the next one again."""
        self._read = line + self._read

    def write(self, answer: bytes) -> None:
        """Have an answer out.

        Raises:
            Ended: nobody reads it.
            OSError: it cannot be written.
        """
        rest = memoryview(answer)
        try:
            while rest:
                self._wait_for_room()
                rest = rest[os.write(self.stdout, rest[:_PIECE]) :]
        except BrokenPipeError as error:
            raise Ended from error

    def takes_at_once(self, answer: bytes) -> bool:
        """Whether an answer can be written without waiting; False also where nobody can tell."""
        if not _CAN_WAIT or len(answer) > _PIECE:
            return False
        return bool(select.select([], [self.stdout], [], 0)[1])

    def reader(self) -> BufferedReader:
        """What comes on stdin, beginning with what was read ahead."""
        read, self._read = self._read, b""
        return BufferedReader(_ReadAhead(read, self._stdin))

    def _wait_for_more(self) -> None:
        """Wait for the host to say something, as long as anybody may."""
        said_at = monotonic()
        while _CAN_WAIT and not select.select([self._stdin], [], [], starter.LOOK_EVERY_SECONDS)[0]:
            if self.starter.is_gone and monotonic() - said_at >= starter.SILENT_SECONDS:
                raise Ended

    def _wait_for_room(self) -> None:
        """Wait until a piece can be written without waiting, and hear what is said meanwhile."""
        while _CAN_WAIT:
            listened = [] if self._is_at_end else [self._stdin]
            seconds = LAST_WORD_SECONDS if self._is_at_end else None
            said, room, _ = select.select(listened, [self.stdout], [], seconds)
            if room:
                return
            if not said:
                raise Ended
            self._fill()

    def _fill(self) -> None:
        more = os.read(self._stdin, _MOST_AT_ONCE)
        self._is_at_end = not more
        self._read += more


def _claim(descriptor: int, other: int) -> int:
    """A descriptor of our own for what this one is, which from here on is the other."""
    own = os.dup(descriptor)
    os.dup2(other, descriptor)
    return own


class _ReadAhead(RawIOBase):
    def __init__(self, read: bytes, descriptor: int) -> None:
        self._rest = memoryview(read)
        self._file = FileIO(descriptor)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int | None:
        if not self._rest:
            return self._file.readinto(buffer)
        into = memoryview(buffer)
        count = min(len(into), len(self._rest))
        into[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
