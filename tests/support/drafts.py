"""Pictures saved in a folder, by this process or by one of its own."""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeVar

from runapi_mcp.images.naming import SetMember
from runapi_mcp.images.saving import Draft
from tests.support.processes import LIMIT_SECONDS

TASK_ID = "3f2a6b0e-0000-4000-8000-000000000000"
FOX = b"\x89PNG of a red fox"
ABOUT: Final = {"task_id": TASK_ID, "sha256": "aa", "prompt": "a red fox in the snow 雪"}
NEWS = {"task_id": "another", "sha256": "bb"}

Result = TypeVar("Result")


def begin(folder: Path, name: str = "fox", member: SetMember | None = None) -> Draft:
    """A draft, of a picture alone where nothing else is said."""
    return Draft.begin(folder, name, member or SetMember(os.urandom(8).hex()))


def save(
    folder: Path,
    name: str = "fox",
    content: bytes = FOX,
    about: Mapping[str, object] = ABOUT,
    suffix: str = ".png",
    member: SetMember | None = None,
) -> Path:
    """The path of a picture, begun, written and committed."""
    draft = begin(folder, name, member)
    draft.write(content)
    return draft.commit(suffix, about)


def files(folder: Path) -> list[str]:
    """Every file below the folder, hidden ones too."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def swap(folder: Path, outside: Path) -> None:
    """A link to outside where the folder is, or is about to be."""
    if folder.exists():
        folder.rename(f"{folder}-moved")
    folder.symlink_to(outside)


def elsewhere(work: Callable[..., Result], *arguments: object) -> Result | None:
    """What the work returns in a process of its own; None where that died."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([work.__module__])
    ours, theirs = forks.Pipe(duplex=False)
    process = forks.Process(target=_tell, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(LIMIT_SECONDS) else None
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


def _tell(
    line: "Connection[Any, Any]", work: Callable[..., object], arguments: Sequence[object]
) -> None:  # Any: whatever the work returns
    line.send(work(*arguments))
