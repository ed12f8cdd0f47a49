"""A run as answers and callbacks tell it. The address of its picture is given by whoever asks."""

from typing import Final, cast

from runapi_mcp.sandbox.course import phase_at, queue_seconds
from runapi_mcp.sandbox.runflow.run_store import OutputShape, StoredRun

MODEL_ID: Final = "0199aa00-0000-7000-8000-0f1ec5000002"
ORGANIZATION_ID: Final = "0199aa00-0000-7000-8000-00000000000a"
_EVENTS: Final = {
    "succeeded": "run.completed",
    "failed": "run.failed",
    "cancelled": "run.cancelled",
    "canceled": "run.cancelled",
    "partial_succeeded": "run.partial_succeeded",
}


def run_answer(run: StoredRun, now: float, url: str) -> dict[str, object]:
    """The run as `GET /v1/runs/{id}` gives it; `url` is where its picture is, once there is one."""
    phase = phase_at(now, run)
    has_ended = phase in ("drawn", "failed")
    has_begun = has_ended or phase == "drawing"
    order = run.order.model_dump(mode="json")
    return {
        "id": run.id,
        "model_id": MODEL_ID,
        "org_id": ORGANIZATION_ID,
        "target_type": "model",
        "status_code": run.state(now),
        "input": order["input"],
        "output": output_of(run, url) if phase == "drawn" else None,
        "cost": f"{_charged_cents(run, now) / 100:.2f}" if has_ended else None,
        "duration_ms": round(run.seconds * 1000) if has_ended else None,
        "client_ref": run.client_ref,
        "request_id": run.request_id,
        "metadata": order.get("metadata"),
        "callback_url": order.get("callback_url"),
        "created_at": run.moment(0),
        "started_at": run.moment(queue_seconds(run)) if has_begun else None,
        "completed_at": run.moment(run.seconds) if has_ended else None,
        "failure_code": "GENERATION_FAILED" if phase == "failed" else None,
        "failure_stage_code": "inference" if phase == "failed" else None,
        "failure_message": run.script.failure if phase == "failed" else None,
    }


def output_of(run: StoredRun, url: str) -> dict[str, object]:
    width, height = run.order.input.size
    image = {
        "url": url,
        "content_type": f"image/{run.order.input.file_format}",
        "width": width,
        "height": height,
    }
    beside: dict[str, object] = {"seed": run.seed, "has_nsfw_concepts": [False]}
    match cast("OutputShape", run.script.own.get("output", "outputs")):
        case "outputs":
            return {"outputs": [image], **beside}
        case "images":
            return {"images": [image], **beside}
        case "image_urls":
            return {"image_urls": [url]}
        case "image":
            return {"image": image, **beside}
        case "url":
            return {"url": url}
        case "none":
            return beside


def callback_payload(run: StoredRun, now: float, url: str) -> dict[str, object]:
    """What is posted at the end: another form than reads have, with `run_id` and `status`."""
    told = run_answer(run, now, url)
    output = told["output"]
    if phase_at(now, run) == "failed":
        output = {"code": told["failure_code"], "message": told["failure_message"]}
    return {
        "event": _EVENTS.get(run.state(now), "run.completed"),
        "run_id": run.id,
        "status": run.state(now),
        "output": output,
        "duration_ms": told["duration_ms"],
        "created_at": told["created_at"],
        "completed_at": told["completed_at"],
        "metadata": told["metadata"],
    }


def _charged_cents(run: StoredRun, now: float) -> int:
    return run.price_cents if phase_at(now, run) == "drawn" else 0
