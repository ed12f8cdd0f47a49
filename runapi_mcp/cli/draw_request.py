"""What a person asks `runapi-mcp draw` for, as the arguments of a tool and the folders it means."""

import os
from dataclasses import dataclass
from pathlib import Path

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.settings import Settings
from runapi_mcp.cli.output_path import OutputPath
from runapi_mcp.images.folders import Folders


@dataclass(frozen=True, slots=True)
class DrawRequest:
    """What was typed."""

    variant: Variant
    prompt: str
    sources: tuple[str, ...] = ()
    aspect_ratio: str | None = None
    output_resolution: str | None = None
    count: int = 1
    output: OutputPath | None = None
    replaces: bool = False
    """Whether a file at `output` may be replaced."""

    def arguments(self) -> dict[str, object]:
        """The arguments of the variant's tool."""
        given = {
            "prompt": self.prompt,
            "source_image_urls": [str(_file(name) or name) for name in self.sources] or None,
            "aspect_ratio": self.aspect_ratio,
            "output_resolution": self.output_resolution,
            "count": self.count,
            "save_as": self.output and self.output.path.name,
        }
        return {name: value for name, value in given.items() if value is not None}

    def folders(self, settings: Settings) -> Folders:
        """Where pictures go and come from: whoever typed a path means the file there."""
        files = filter(None, map(_file, self.sources))
        return Folders(
            settings.pictures.output_dir,
            (*settings.pictures.input_dirs, *(file.parent for file in files)),
            settings.pictures.sidecars,
            named_dir=self.output and self.output.path.parent,
        )


def _file(name: str) -> Path | None:
    """The file that a source is, without links; None for a task's id, an address, a mistake."""
    path = os.path.expanduser(name)  # noqa: PTH111 - Path.exists raises for a name that is too long
    return Path(os.path.realpath(path)) if os.path.exists(path) else None  # noqa: PTH110 - likewise
