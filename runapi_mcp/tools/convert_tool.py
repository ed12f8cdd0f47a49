"""The tool that makes another file of a picture, of other format or size. It costs nothing."""

from __future__ import annotations

import hashlib
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread
from pydantic import MISSING, Field

from runapi_mcp.base.errors import Failure, Refused
from runapi_mcp.base.printable import printable_path
from runapi_mcp.images.folders import name_of
from runapi_mcp.images.naming import SetMember, split_suffix
from runapi_mcp.images.picture import LARGEST_IMAGE_BYTES, Place
from runapi_mcp.orders.ledger import Use, write_or_log
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.entry_files import kept_originals, saved_pictures
from runapi_mcp.tools.facts import Facts
from runapi_mcp.tools.inputs import ConversionOptions
from runapi_mcp.tools.picture_request import target_of
from runapi_mcp.tools.source_names import EarlierTask, parse_name
from runapi_mcp.tools.sources import path_of
from runapi_mcp.tools.tool import Caller, DeliveryOptions, RawArguments, Tool, ToolResult

if TYPE_CHECKING:
    from runapi_mcp.images.local_image import LocalFile
    from runapi_mcp.images.structure import Structure

_SMALLER: Final = "It is smaller than asked, because the source is: nothing is enlarged."


class ConversionFacts(Facts):
    """The file that was made, and how large it is."""

    image_paths: list[str]
    image_sizes: list[str]
    image_bytes: list[int]
    notice: str | MISSING = Field(default=MISSING, description="Given when it is not as asked.")


async def _run(caller: Caller, raw: RawArguments) -> ToolResult:
    (options,) = accept(raw, ConversionOptions)
    target = target_of(caller.delivery, options.save_as)
    folders = caller.delivery.picture_store.folders
    folders.require_usable(target, named=caller.delivery.is_local)
    file, use = await _read_source(options.source, caller)
    content, made = await _convert(file, options, caller.delivery)
    path = await anyio.to_thread.run_sync(_save, content, target or "", caller.delivery)
    if caller.sellers.has_key:
        # Whoever names a picture has it, as in `orders.purchase`.
        await write_or_log(caller.orders.ledger.record_use(caller.sellers.caller_id, use))
    facts = ConversionFacts(
        image_paths=[printable_path(path)],
        image_sizes=[f"{made.width}x{made.height}"],
        image_bytes=[len(content)],
        notice=MISSING if options.is_met_by(made.width, made.height) else _SMALLER,
    )
    return ToolResult(facts)


async def _read_source(source: str, caller: Caller) -> tuple[LocalFile, Use]:
    """
    Raises:
        Refused: it is not there, or not allowed.
    """
    from runapi_mcp.images.local_image import read_local_file

    name = parse_name(source)
    if isinstance(name, EarlierTask):
        return await _read_task(name.task_id, caller), Use(task_ids=(name.task_id,))
    folders = caller.delivery.picture_store.folders
    read = partial(read_local_file, path_of(source), folders, LARGEST_IMAGE_BYTES)
    file = await anyio.to_thread.run_sync(read)
    return file, Use(paths=(str(file.path),))


async def _read_task(task_id: str, caller: Caller) -> LocalFile:
    """The first image of a task: as it came, if it was kept so, else as it was saved."""
    from runapi_mcp.images.local_image import read_saved_file

    entry = await caller.orders.entry_of(task_id)
    for saved in (*kept_originals(entry)[:1], *saved_pictures(entry)[:1]) if entry else ():
        try:
            if saved is not None:
                read = partial(read_saved_file, saved, task_id, LARGEST_IMAGE_BYTES)
                return await anyio.to_thread.run_sync(read)
        except Failure:  # moved, deleted or edited since
            continue
    raise Refused(
        f"No saved image of task {task_id} was found.",
        "Call get_task with it, which saves it, and then call again.",
    )


async def _convert(
    file: LocalFile, options: ConversionOptions, delivery: DeliveryOptions
) -> tuple[bytes, Structure]:
    from runapi_mcp.images.conversion import FORMATS, convert
    from runapi_mcp.images.decoder import Conversion
    from runapi_mcp.images.local_image import in_words
    from runapi_mcp.images.structure import read_structure

    _, suffix = split_suffix(options.save_as)
    wanted = Conversion(
        FORMATS[suffix].decoder,
        width=0 if options.width is MISSING else options.width,
        height=0 if options.height is MISSING else options.height,
        crops=options.fit == "cover",
        quality=0 if options.quality is MISSING else options.quality,
    )
    with in_words(file.path):
        decoders = delivery.picture_store.decoders
        content = await convert(BytesIO(file.content), wanted, decoders, delivery.caller)
        return content, read_structure(BytesIO(content))


def _save(content: bytes, target: str, delivery: DeliveryOptions) -> Path:
    """Where the file is. No JSON stays beside it: it would have nothing to tell. Blocks.

    Raises:
        NotSaved
    """
    from runapi_mcp.images.conversion import save_conversion

    folder = delivery.picture_store.folders.folder_of(target, named=delivery.is_local)
    stem, suffix = split_suffix(name_of(target))
    place = Place(folder, stem, has_sidecars=False)
    member = SetMember(hashlib.sha256(content).hexdigest())
    about: dict[str, object] = {"set": member.set_id}
    # hero.webp beside the hero.png that it is made of is what a page needs.
    return save_conversion(content, place, suffix, member, about, taking=(suffix,))


CONVERT_IMAGE: Final = Tool(
    name="convert_image",
    title="Convert or resize an image",
    description=(
        "Make the file that a page or app needs of an image: PNG, JPEG or WebP by the suffix of "
        "save_as, shrunk or cropped. Free; never overwrites."
    ),
    effect="writes",
    inputs=(ConversionOptions,),
    output=ConversionFacts,
    run=_run,
    needs_disk=True,
)
