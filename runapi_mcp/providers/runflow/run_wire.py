"""Runs on the wire: what is sent to make, read and find one, and what answers say of it.

The output of a run has no one shape; neither has a list of them. What is known in neither way is
told, and never taken for a picture or for an absence.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from runapi_mcp.base.amounts import tidy
from runapi_mcp.base.catalog.fields import MAX_URL_CHARACTERS
from runapi_mcp.base.catalog.image_size import PRESETS, parse_size
from runapi_mcp.base.catalog.task import Status, Task
from runapi_mcp.base.catalog.task_ids import canonical
from runapi_mcp.base.catalog.vendors import RUNFLOW
from runapi_mcp.base.errors import ProviderDown
from runapi_mcp.base.json_values import (
    Json,
    as_cents,
    as_list,
    as_number,
    as_object,
    as_text,
)
from runapi_mcp.base.urls import is_http
from runapi_mcp.providers.runflow.run_messages import RunReply, RunRequest, incomplete_reply

_MOST_IMAGES: Final = 8
LARGEST_LIST: Final = 500
MOST_PAGES: Final = 20

_STATUSES: Final[Mapping[str, Status]] = {
    "queued": "pending",
    "dispatching": "pending",
    "running": "processing",
    "succeeded": "completed",
    "partial_succeeded": "completed",
    "failed": "failed",
    "cancelled": "failed",
    "canceled": "failed",
}
_LISTS: Final = ("items", "data", "runs")
"""What the runs of a list may stand in."""
_CURSORS: Final = ("next", "next_pq")
"""What the next page of a list is asked for with: Runflow's reference and its guide differ."""
_BESIDE: Final = frozenset({*_LISTS, "first", "previous", "prev_pq", "limit", "total", "sandbox"})
"""What may stand beside the runs of a last page. Whatever else does may be a reason why they are
not all."""


def request_body(arguments: Mapping[str, object]) -> str:
    """What a create sends, but for the reference: that is known when it is sent."""
    asked = dict(arguments)
    callback_url = asked.pop("callback_url", None)
    size = asked.get("image_size")
    if isinstance(size, str) and size not in PRESETS:
        asked["image_size"] = parse_size(size)._asdict()
    more = {} if callback_url is None else {"callback_url": callback_url}
    return _encoded({"input": asked, **more})


def new_run_request(path: str, body: str, reference: str) -> RunRequest:
    content = _encoded({**as_object(json.loads(body)), "client_ref": reference})
    return RunRequest("POST", f"/v1/models/{path}/runs", body=content, pays=True)


def run_request(run_id: str, urgency: Callable[[], float] | None) -> RunRequest:
    return RunRequest("GET", f"/v1/runs/{run_id}", reads_task=True, urgency=urgency)


def list_request(reference: str, cursor: str | None) -> RunRequest:
    query = {"q": f"client_ref.EQ:'{reference}'", "limit": str(LARGEST_LIST)}
    return RunRequest("GET", "/v1/runs", query={**query, **({"pq": cursor} if cursor else {})})


def parse_new_run(reply: RunReply) -> Task:
    run_id = canonical(as_text(reply.body.get("id")) or "")
    if run_id is None:
        raise incomplete_reply(reply, "names no run")
    return _task(run_id, reply.body, reply)


def parse_run(run_id: str, reply: RunReply) -> Task:
    if canonical(as_text(reply.body.get("id")) or "") != run_id:
        raise ProviderDown(
            "Runflow answered about another run.", "Ask for the task again.", reply.answer
        )
    return _task(run_id, reply.body, reply)


def parse_page(reference: str, reply: RunReply) -> tuple[Task | None, str | None]:
    """The run of a reference, if this page of a list has it; and the cursor of the next page.

    Raises:
        ProviderDown: it cannot be known what the page has, or where the next one is.
    """
    listed = next((reply.body[each] for each in _LISTS if each in reply.body), None)
    runs = as_list(listed)
    if not isinstance(listed, list) or not all(map(_is_referred, runs)):
        raise incomplete_reply(reply, "is no list of runs that could be read")
    for run in map(as_object, runs):
        run_id = canonical(as_text(run.get("id")) or "")
        if run.get("client_ref") == reference and run_id is not None:
            return _task(run_id, run, reply), None
    return None, _next_page(reply, len(runs))


def _is_referred(run: object) -> bool:
    """Whether it is a run that tells its reference, be it none."""
    told = as_object(run)
    return "client_ref" in told and canonical(as_text(told.get("id")) or "") is not None


def _next_page(reply: RunReply, listed: int) -> str | None:
    cursors = (as_text(reply.body.get(name)) for name in _CURSORS)
    cursor = next(filter(None, cursors), None)
    goes_on = any(value and name not in _BESIDE for name, value in reply.body.items())
    total = as_number(reply.body.get("total"))
    if cursor is None and (goes_on or listed >= LARGEST_LIST or (total or 0) > listed):
        raise incomplete_reply(reply, "is a list of runs that goes on somewhere")
    return cursor


def _task(run_id: str, run: Json, reply: RunReply) -> Task:
    state = (as_text(run.get("status_code")) or "").lower()
    status: Status = _STATUSES.get(state, "unknown")
    urls = _image_urls(run.get("output")) if status == "completed" else ()
    ended = status in ("completed", "failed")
    return Task(
        id=run_id,
        status=status,
        image_urls=urls,
        error=_error(run, status, urls),
        cost_cents=_cost_cents(run.get("cost")) if ended else None,
        retry_after_seconds=reply.answer.retry_after_seconds,
        request_id=reply.answer.request_id or as_text(run.get("request_id")),
        sandbox=reply.answer.sandbox,
        vendor=RUNFLOW,
    )


def _error(run: Json, status: Status, urls: tuple[str, ...]) -> str | None:
    """Why there is no picture, or none that could be found."""
    if status == "unknown":
        return f"a state that is not known here: {as_text(run.get('status_code'))}"
    if status == "completed" and not urls:
        told = ", ".join(as_object(run.get("output"))) or "nothing"
        return f"an output without an image in a place that is known here; it has {told}"
    parts = [as_text(run.get("failure_code")), as_text(run.get("failure_message"))]
    return ": ".join(filter(None, parts)) or None


def _image_urls(output: object) -> tuple[str, ...]:
    urls = (as_text(value) for value in _places(as_object(output)))
    good = (url for url in urls if url and is_http(url) and len(url) <= MAX_URL_CHARACTERS)
    return tuple(dict.fromkeys(good))[:_MOST_IMAGES]


def _places(output: Json) -> Iterator[object]:
    """Whatever stands where an output has been seen to have its images."""
    for name in ("outputs", "images"):
        yield from (as_object(image).get("url") for image in as_list(output.get(name)))
    yield from as_list(output.get("image_urls"))
    yield as_object(output.get("image")).get("url")
    yield output.get("url")


def _cost_cents(value: object) -> float | None:
    """US cents of an amount in US dollars: a number, or one in a text."""
    dollars = as_dollars(value)
    return None if dollars is None else as_cents(tidy(dollars * 100))


def as_dollars(value: object) -> float | None:
    try:
        return as_number(float(value) if isinstance(value, str) else value)
    except ValueError:
        return None


def _encoded(body: Mapping[str, object]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
