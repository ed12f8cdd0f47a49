"""File modes that hold for root too, who may else read and write everything."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

POSIX_MODES = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")

_VERSION_3 = 0x20080522
_IGNORES_MODES = 1 << 1
"""The capability that makes root of a user."""


@contextmanager
def unwritable(folder: Path) -> Generator[None]:
    """As on a disk that was mounted to be read."""
    modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        with _obeying_modes():
            yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def as_a_user() -> tuple[str, ...]:
    """What a command is put behind so that it may do only what files and folders allow."""
    if os.geteuid() != 0:
        return ()
    command = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if shutil.which("setpriv") is None or not _works(*command, "true"):
        pytest.skip("root may do everything, and setpriv cannot change that here")
    return command


def _works(*command: str) -> bool:
    ran = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - named here
    return ran.returncode == 0


@contextmanager
def _obeying_modes() -> Generator[None]:
    """Do without root's rights over files, if this is root."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root may write everything")
    libc, header = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    before, less = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    assert libc.capget(header, less) == 0
    less[0] &= ~_IGNORES_MODES
    assert libc.capset(header, less) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0
