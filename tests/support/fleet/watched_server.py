"""A server that tells how it goes, as Prometheus reads it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.processes import Program


@dataclass(frozen=True, slots=True)
class Watched:
    """A server that tells how it goes."""

    running: Program
    url: str
    metrics_url: str

    async def scrape(self) -> str:
        async with httpx.AsyncClient() as http:
            answer = await http.get(self.metrics_url)
        assert answer.headers["content-type"].startswith("text/plain")
        return answer.raise_for_status().text

    async def samples(self) -> Sequence[Sample]:
        families = text_string_to_metric_families(await self.scrape())
        return [sample for family in families for sample in family.samples]

    async def value(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels."""
        return sum(
            sample.value
            for sample in await self.samples()
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def records(self) -> list[dict[str, Any]]:
        """The lines of its log that are no word to a person."""
        said = [line for line in self.running.stderr.seen if not line.startswith("runapi-mcp ")]
        return [json.loads(line) for line in said]
