"""The spans of a call below the SDK's own: where its time went, in words from closed sets."""

from collections.abc import Generator
from contextlib import contextmanager

import anyio
from opentelemetry import trace

from runapi_mcp.base.measures import STAGE_SECONDS, STAGES
from runapi_mcp.base.stages import CallStage

_SCOPE = "runapi_mcp"


@contextmanager
def span(name: str) -> Generator[None]:
    """A child of the span that is current here. It has no attributes, and nothing of an error but
    its class: the words of either may be a caller's."""
    with trace.get_tracer(_SCOPE).start_as_current_span(
        name, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except Exception as error:
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(trace.StatusCode.ERROR)
            raise


@contextmanager
def observed_stage(stage: CallStage) -> Generator[None]:
    began = anyio.current_time()
    STAGES.add(1, stage=stage)
    try:
        with span(stage):
            yield
    finally:
        STAGES.add(-1, stage=stage)
        STAGE_SECONDS.record(anyio.current_time() - began, stage=stage)
