"""The call behind `runapi-mcp draw`: from a request to printed paths, as a host's goes."""

import logging
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import anyio

from runapi_mcp.base.settings import Settings
from runapi_mcp.cli import draw_words
from runapi_mcp.cli.composition import (
    address_and_key,
    caller_at_terminal,
    ledger_of,
    rate_limits_of,
    shared_state_of,
)
from runapi_mcp.cli.draw_request import DrawRequest
from runapi_mcp.cli.output_path import OutputPath, move
from runapi_mcp.cli.spinner import Spinner
from runapi_mcp.images.naming import normalise_name
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders import tracked_task
from runapi_mcp.orders.ledger import Entry, read_or_none, write_or_log
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.providers.sellers import Sellers
from runapi_mcp.tools import drawing
from runapi_mcp.tools.tool import Caller, TaskOutcome, ToolResult

PATIENCE_SECONDS: Final = 2.0
"""How long after Ctrl-C RunAPI's answer to a request that pays is waited for."""
INTERRUPTED: Final = 130
"""The exit status after Ctrl-C."""
_MOST_UNDELIVERED: Final = 200


class DrawCall:
    def __init__(self, request: DrawRequest, settings: Settings, *, as_json: bool) -> None:
        self._request = request
        self._settings = settings
        self._as_json = as_json
        self._left: Sequence[Entry] | None = ()
        """What an interrupted call has ordered; None where nobody can tell yet."""

    async def make(self, yes: str | None, spinner: Spinner) -> int:
        """The exit status, once all that there is to say was said.

        Raises:
            Failure: there is no task of it.
            NotConfirmed: a person must be asked first.
            NotPrinted: the same command gets the picture.
        """
        # What goes on, and what is in doubt, is said at the end, with what a person does about it.
        for module in (tracked_task, drawing):
            module.logger.setLevel(logging.ERROR)
        base_url, key = address_and_key(self._settings)
        make_rate_limit = rate_limits_of(self._settings)
        async with (
            aclosing(RunAPI(base_url, make_rate_limit=make_rate_limit)) as upstream,
            aclosing(ledger_of(self._settings)) as ledger,
        ):
            shared = shared_state_of(self._settings, ledger)
            store = PictureStore(base_url, self._request.folders(self._settings))
            caller = caller_at_terminal(
                self._settings, Sellers(upstream.provider(key)), shared, store, spinner.report
            )
            try:
                async with shared.background.running():
                    return await self._complete(replace(caller, yes=yes), spinner)
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    self._left = await _ordered(caller)
                raise

    def farewell(self) -> str:
        """What an interrupted call leaves, and how to go on with it."""
        return draw_words.farewell(self._left, self._settings)

    async def _complete(self, caller: Caller, spinner: Spinner) -> int:
        try:
            result = await self._draw(caller)
        except anyio.get_cancelled_exc_class():
            self._left = None
            self._leave_in_time(spinner)
            raise
        # Dated before it leaves: a call that is read afterwards never came before it.
        at = caller.orders.ledger.now()
        spinner.end()
        status = draw_words.tell(
            result, self._request.output, self._settings, as_json=self._as_json
        )
        if status != draw_words.NOT_HERE:
            await _hand_over(caller, result.task, at)
        return status

    async def _draw(self, caller: Caller) -> ToolResult:
        output = self._request.output
        if output is not None and not await self._is_mine(caller):
            output.require_folder()
            if not self._request.replaces:
                output.require_free(self._request.count)
        tool = drawing.drawing_tool(self._request.variant)
        result = await tool.run(caller, self._request.arguments())
        if output is None or result.task is None:
            return result
        return replace(result, task=await self._move(caller, result.task, output))

    async def _is_mine(self, caller: Caller) -> bool:
        """Whether a like command ended before it told that it had saved there."""
        if self._request.output is None or not caller.sellers.has_key:
            return False
        folders, ledger = caller.delivery.picture_store.folders, caller.orders.ledger
        name = normalise_name(self._request.output.path.name)
        alike = (self._request.variant.model, folders.target(name, named=True))
        recent = ledger.entries(caller.sellers.caller_id, "undelivered", _MOST_UNDELIVERED)
        return any(
            (entry.model, entry.save_as) == alike
            and (entry.arguments or {}).get("prompt") in (self._request.prompt, None)
            for entry in await read_or_none(recent) or ()
        )

    async def _move(self, caller: Caller, outcome: TaskOutcome, output: OutputPath) -> TaskOutcome:
        """The same with each picture at the very place that was asked for, if that can be."""
        pictures = list(outcome.pictures)
        drawn = [tracked for tracked in outcome.tasks if tracked.task.image_urls]
        if len(drawn) != len(pictures):
            return outcome
        for index, (tracked, picture) in enumerate(zip(drawn, pictures, strict=True)):
            entry = tracked.entry
            if picture.path is None or entry is None or not output.has_format_of(picture.path):
                continue
            wanted = output.numbered(entry.number, entry.count)
            path = move(picture.path, wanted, replaces=self._request.replaces)
            pictures[index] = replace(picture, path=path)
            files = tuple(str(path) if file == str(picture.path) else file for file in entry.files)
            if files != entry.files:
                known = files, entry.file_hashes, entry.originals
                tracked.record_files(*known)
                await write_or_log(caller.orders.ledger.record_files(entry.key, *known))
        return replace(outcome, pictures=tuple(pictures))

    def _leave_in_time(self, spinner: Spinner) -> None:
        """End the process soon, although the answer to a request that pays is still awaited."""
        spinner.say("stopping")

        def leave() -> None:
            spinner.end()
            sys.stderr.write(f"{self.farewell()}\n")
            sys.stderr.flush()
            os._exit(INTERRUPTED)

        timer = threading.Timer(PATIENCE_SECONDS, leave)
        timer.daemon = True
        timer.start()


async def _ordered(caller: Caller) -> Sequence[Entry]:
    """What the ledger has of an interrupted call."""
    if not caller.ordered:
        return ()
    return await caller.orders.call_of(caller.ordered[-1].entries[0])


async def _hand_over(caller: Caller, outcome: TaskOutcome | None, at: float) -> None:
    entry = outcome.first.entry if outcome is not None and outcome.is_whole else None
    if entry is not None:
        await write_or_log(caller.orders.ledger.record_handover(entry.call_id, at, surely=True))
