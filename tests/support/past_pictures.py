"""A ledger with past pictures, their files, and the page that shows them to one browser."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx

from runapi_mcp.images.decoding import Decoders
from runapi_mcp.orders.ledger import Entry, Use
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.pictures_page.entrance import Entrance
from runapi_mcp.pictures_page.routes import Desktop, PictureRoutes
from tests.support.decoding import WORKERS
from tests.support.pictures import png
from tests.support.world import NOON

PRO: Final = "flux-2-pro-text-to-image"
PORT: Final = 40_404
OWN: Final = f"http://127.0.0.1:{PORT}"


def task_id(number: int) -> str:
    return f"{number:08x}-954f-4c26-800b-9c33eb9d0255"


@dataclass(slots=True)
class PastPictures:
    """What was drawn, one after the other, a minute apart."""

    folder: Path
    ledger: SqliteLedger
    opened: list[tuple[str, Path]] = field(default_factory=list[tuple[str, Path]])
    """What the desktop was asked for."""
    _drawn: int = 0

    async def draw(
        self, prompt: str | None = "a fox", *, is_saved: bool = True, **facts: Any
    ) -> str:
        """The id of a new picture's task, whose file is there if it was saved."""
        self._drawn += 1
        drawn = task_id(self._drawn)
        arguments = facts.pop("arguments", {} if prompt is None else {"prompt": prompt})
        entry = replace(
            Entry(drawn, "me", PRO, drawn, NOON + 60 * self._drawn, drawn, price_cents=5),
            **{"arguments": arguments, **facts},
        )
        await self.ledger.intend([entry], Use(), NOON, lambda _, __: None)
        ended = {"status": "completed", "task_id": drawn, "image_urls": ("https://a.example/1",)}
        await self.ledger.record(replace(entry, **{**ended, **facts}))
        if is_saved:
            content = png(size=(120, 80 + self._drawn))
            self.file(drawn).write_bytes(content)
            files, hashes = [str(self.file(drawn))], [sha256(content).hexdigest()]
            await self.ledger.record_files(drawn, files, hashes)
        return drawn

    def file(self, drawn: str) -> Path:
        return self.folder / f"picture-{drawn[:8]}.png"

    def page(self) -> tuple[Entrance, httpx.AsyncClient]:
        """A page of its own, and a browser that has not opened its address yet."""
        entrance = Entrance(PORT)
        desktop = Desktop(
            lambda path: self.opened.append(("open", path)),
            lambda path: self.opened.append(("show", path)),
        )
        routes = PictureRoutes(self.ledger, Decoders(WORKERS), desktop)
        app = entrance.before(routes.app(entrance.place))
        base_url = f"{OWN}{entrance.place}/"
        return entrance, httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url)

    @asynccontextmanager
    async def browser(self) -> AsyncGenerator[httpx.AsyncClient]:
        """One that has opened the address."""
        entrance, browser = self.page()
        async with browser:
            assert (await browser.get(entrance.address)).status_code == 200
            yield browser


@asynccontextmanager
async def past_pictures(folder: Path, kept_at: Path | None = None) -> AsyncGenerator[PastPictures]:
    """In a ledger at a path, or in memory."""
    clock = lambda: NOON  # noqa: E731 - two ledgers, one clock
    ledger = (
        SqliteLedger(lambda: kept_at, clock=clock) if kept_at else SqliteLedger.in_memory(clock)
    )
    async with aclosing(ledger):
        yield PastPictures(folder, ledger)


def prompts_of(answer: httpx.Response) -> Sequence[str]:
    return [picture["prompt"] for picture in answer.json()["pictures"]]
