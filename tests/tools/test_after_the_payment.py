"""Between paying and answering nothing that goes wrong hides what was paid for."""

import inspect
import sqlite3
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult

from runapi_mcp.base.catalog.task import Task
from runapi_mcp.images.download import Download
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.orders import Orders
from runapi_mcp.orders.poller import Poller
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.server import calls, content
from runapi_mcp.tools import picture_request, presenting, task_outcomes
from tests.support.world import ERAS, KEY, World, facts, said, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"
CALLS: list[Mapping[str, object]] = [
    {"prompt": "a fox"},
    {"prompt": "a fox", "count": 3},
]
ERRORS = [
    RuntimeError("a bug"),
    RuntimeError(f"Authorization: Bearer {KEY}\nnever"),
    KeyError("uid"),
    OSError(28, "No space left on device"),
    UnicodeEncodeError("ascii", "\u96ea", 0, 1, "ordinal not in range"),
    sqlite3.DatabaseError("malformed"),
    MemoryError(),
    RecursionError("deep"),
    ExceptionGroup("two", [ValueError("a bug"), KeyError("x")]),
]

ANSWERING: list[tuple[Any, str]] = [
    (presenting, "deliver"),
    (presenting, "result_of"),
    (task_outcomes, "_price"),
    (Orders, "spending_today"),
    (PictureStore, "collect"),
    (PictureStore, "lock_for"),
    (picture_request, "target_folder"),
    (picture_request, "default_stem"),
    (picture_request, "date_of"),
    (picture_request, "_about"),
    (picture_request, "expiry_of"),
    (calls, "to_text"),
    (calls, "blocks"),
    (calls, "_meta_for_page"),
    (content, "b64encode"),
    (content, "_link"),
    (content, "_json_bytes"),
]
"""What makes an answer of what is drawn."""
FOLLOWING: list[tuple[Any, str]] = [(Poller, "poll"), (TrackedTask, "record_failure")]
SAVING: list[tuple[Any, str]] = [(Download, "begin"), (Download, "commit"), (Download, "flush")]
WRITING: list[tuple[Any, str]] = [
    (SqliteLedger, "record"),
    (SqliteLedger, "record_files"),
    (SqliteLedger, "record_handover"),
]


def break_down(
    patch: pytest.MonkeyPatch, where: object, name: str, error: Exception = ERRORS[0]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    async def fail_later(*_: object, **__: object) -> None:
        raise error

    waits = inspect.iscoroutinefunction(getattr(where, name))
    patch.setattr(where, name, fail_later if waits else fail)


def saving(folder: Path, era: str = "auto") -> Any:  # Any: as `world` has it
    limits = Limits(per_day_cents=1_000)
    return world(era=era, folders=Folders(folder, (folder,)), saves=True, limits=limits)


async def broken(
    w: World, call: Mapping[str, object], where: object, name: str, error: Exception = ERRORS[0]
) -> CallToolResult:
    """What a call answers while this does not work."""
    with pytest.MonkeyPatch.context() as patch:
        break_down(patch, where, name, error)
        return await w.call(DRAW, call)


def assert_tells_all(result: CallToolResult, w: World, status: str = "completed") -> None:
    """An answer that is no error and has status, ids, and addresses if there are any."""
    told, ids = facts(result), w.task_ids
    assert not result.is_error
    assert told["status"] == status
    assert told["task_id"] == ids[0]
    assert told.get("task_ids", [ids[0]]) == ids
    urls = [f"http://127.0.0.1/images/{task_id}.png" for task_id in ids]
    assert told.get("image_urls", []) == (urls if status == "completed" else [])
    assert all(word in said(result) for word in (*ids, *told.get("image_urls", [])))


@pytest.mark.parametrize(
    ("call", "era"), list(zip(CALLS, ERAS, strict=True)), ids=["one legacy", "several"]
)
@pytest.mark.parametrize(("where", "name"), ANSWERING)
async def test_no_trouble_of_an_answer_hides_what_is_drawn(
    where: object, name: str, call: Mapping[str, object], era: str, tmp_path: Path
) -> None:
    async with saving(tmp_path, era) as w:
        result = await broken(w, call, where, name)
        assert_tells_all(result, w)
        assert "RuntimeError: a bug" in facts(result)["error"]
        assert "RuntimeError: a bug" in said(result)
        again = facts(await w.call(DRAW, call))
        assert (again["task_id"], "error" in again) == (w.task_ids[0], False)
        assert len(again["image_paths"]) == len(w.task_ids) == call.get("count", 1)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_whatever_is_raised_is_said(error: Exception, tmp_path: Path) -> None:
    async with saving(tmp_path) as w:
        result = await broken(w, CALLS[1], presenting, "deliver", error)
        assert_tells_all(result, w)
        kind = "ValueError" if "two" in str(error) else type(error).__name__
        assert KEY not in said(result)
        assert len(facts(result)["error"].splitlines()) == 1
        assert facts(result)["error"].startswith(f"Unforeseen: {kind}")


@pytest.mark.parametrize("call", CALLS, ids=["one", "several"])
@pytest.mark.parametrize(("where", "name"), FOLLOWING)
async def test_no_trouble_of_a_look_hides_what_is_under_way(
    where: object, name: str, call: Mapping[str, object], tmp_path: Path
) -> None:
    async with saving(tmp_path) as w:
        w.sandbox.faults.inject("poll", "503", times=1)
        result = await broken(w, call, where, name)
        assert_tells_all(result, w, "pending")
        assert facts(result)["error"] == "Unforeseen: RuntimeError: a bug"
        assert len(facts(await w.call(DRAW, call))["image_paths"]) == call.get("count", 1)
        assert w.task_count == call.get("count", 1)


@pytest.mark.parametrize("call", CALLS, ids=["one", "several"])
@pytest.mark.parametrize(("where", "name"), SAVING)
async def test_no_trouble_of_saving_hides_what_is_drawn(
    where: object, name: str, call: Mapping[str, object], tmp_path: Path
) -> None:
    async with saving(tmp_path) as w:
        result = await broken(w, call, where, name)
        assert_tells_all(result, w)
        assert "RuntimeError: a bug" in facts(result)["not_saved"]
        assert len(facts(await w.call(DRAW, call))["image_paths"]) == call.get("count", 1)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("where", "name"), WRITING)
async def test_a_ledger_that_fails_in_any_way_hides_nothing(
    where: object, name: str, error: Exception, tmp_path: Path
) -> None:
    async with saving(tmp_path) as w:
        result = await broken(w, CALLS[1], where, name, error)
        assert_tells_all(result, w)
        assert len(facts(result)["image_paths"]) == 3
        assert facts(await w.call(DRAW, CALLS[1]))["status"] == "completed"
        assert w.task_count == 3


@pytest.mark.parametrize(("where", "name"), ANSWERING)
async def test_get_task_tells_as_much(where: object, name: str, tmp_path: Path) -> None:
    async with saving(tmp_path) as w:
        task_id = facts(await w.call(DRAW, CALLS[0]))["task_id"]
        with pytest.MonkeyPatch.context() as patch:
            break_down(patch, where, name)
            result = await w.call("get_task", {"task_id": task_id})
        assert_tells_all(result, w)
        assert "RuntimeError: a bug" in facts(result)["error"]


async def test_what_crashes_one_payment_takes_no_other_along() -> None:
    create, made = Task, list[str]()
    async with world() as w:
        with pytest.MonkeyPatch.context() as patch:

            def once(*given: Any, **named: Any) -> Task:
                made.append(given[0] if given else named["id"])
                if len(made) == 2:
                    raise RuntimeError("a bug")
                return create(*given, **named)

            patch.setattr("runapi_mcp.providers.runapi.tasks.Task", once)
            told = facts(await w.call(DRAW, CALLS[1]))
        assert len(told["image_urls"]) == 2
        [why] = told["failed"]
        assert why.startswith("Image 2: Unforeseen: RuntimeError: a bug.")
        assert len(facts(await w.call(DRAW, CALLS[1]))["image_urls"]) == 3
        assert w.task_count == 3


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("call", CALLS, ids=["one", "several"])
async def test_who_leaves_is_let_go(
    call: Mapping[str, object], era: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []

    async def hang(*_: object) -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            left.append("cancelled")
            raise

    async with saving(tmp_path, era) as w:
        with monkeypatch.context() as patch:
            patch.setattr(presenting, "deliver", hang)
            with anyio.move_on_after(20):
                await partial(w.call, DRAW, call)()
            await anyio.sleep(1)
        assert left == ["cancelled"]
        assert len(facts(await w.call(DRAW, call))["image_paths"]) == call.get("count", 1)
        assert w.task_count == call.get("count", 1)
