"""`runapi-mcp pictures`: past pictures on a page of this machine, until Ctrl-C."""

from __future__ import annotations

import os
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import click

from runapi_mcp.base import settings
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.cli.desktop import has_browser, open_browser, open_file, show_in_folder
from runapi_mcp.cli.event_loop import run_interruptible

if TYPE_CHECKING:
    from runapi_mcp.base.settings import Settings


@click.command("pictures")
@click.option("--no-browser", is_flag=True, help="Show the address only.")
def command(*, no_browser: bool) -> None:
    """Look through your pictures in a browser: the newest first, found by words.

    The page is for one browser on this machine. Its address works once; a reload works as well.
    """
    loaded = settings.load()
    if loaded.ledger.locate is None:
        off = "RUNAPI_SANDBOX is on" if loaded.sandbox else "RUNAPI_LEDGER is off"
        raise NotConfigured(
            f"There are no pictures to look through, because no ledger is kept: {off}.",
            "Unset it to look through those of a ledger.",
        )
    run_interruptible(partial(_serve, loaded, opens=not no_browser))


async def _serve(loaded: Settings, *, opens: bool) -> None:
    from runapi_mcp.base.sockets import listen
    from runapi_mcp.base.web_server import WebServer
    from runapi_mcp.cli.composition import ledger_of
    from runapi_mcp.images.decoding import Decoders
    from runapi_mcp.pictures_page.entrance import PAGE_HOST, Entrance
    from runapi_mcp.pictures_page.routes import Desktop, PictureRoutes

    with listen(PAGE_HOST, 0) as sock:
        entrance = Entrance(sock.getsockname()[1])
        async with aclosing(ledger_of(loaded)) as ledger:
            routes = PictureRoutes(ledger, Decoders(), Desktop(open_file, show_in_folder))
            app = entrance.before(routes.app(entrance.place))
            announce = partial(_announce, entrance.address, entrance.port, opens=opens)
            await WebServer(app, on_ready=announce).serve([sock])


def _announce(address: str, port: int, *, opens: bool) -> None:
    click.echo(f"Your pictures are at\n\n  {address}\n\nThe address works once. Ctrl-C ends it.")
    if opens and has_browser(os.environ):
        open_browser(address)
    elif opens:
        forward = f"ssh -N -L {port}:127.0.0.1:{port}"
        click.echo(f"From another machine, run `{forward} HOST` there first.")
