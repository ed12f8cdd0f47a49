"""`runapi-mcp` and `runapi-mcp serve`: the server, over stdio or HTTP."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.cli.event_loop import run_interruptible
from runapi_mcp.cli.log_lines import log_to_stderr
from runapi_mcp.cli.own_name import as_typed

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

    from runapi_mcp.base.background import Background
    from runapi_mcp.base.settings import Settings
    from runapi_mcp.front.serving import Begun
    from runapi_mcp.server import Keys

logger = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_PORT = 8765

_HINT = (
    "runapi-mcp speaks MCP on stdin and stdout: a coding agent starts it. "
    "To see it draw, run `runapi-mcp demo`; `runapi-mcp --help` lists the rest."
)


@click.command("serve")
@click.option("--http", is_flag=True, help="Serve HTTP instead of stdio: /mcp, /sse, /healthz.")
@click.option("--host", help=f"Address to listen on; {_HOST} without it.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Port, or 0 for a free one; {_PORT} without it."
)
@click.option("--allow-host", multiple=True, metavar="NAME", help="Also answer to this host name.")
@click.option(
    "--trusted-proxy",
    multiple=True,
    metavar="ADDRESS",
    help="Believe this proxy's X-Forwarded-For; an address or a network.",
)
@click.option(
    "--root-path", metavar="PATH", help="What stands before /mcp where clients find it: /flux."
)
@click.option("--share-key", is_flag=True, help="Requests without a key use this server's own.")
@click.option("--sandbox", is_flag=True, help="Practise without a key: same tools, nothing paid.")
@click.pass_obj
def command(  # noqa: PLR0913 - an option each, and the conversation
    begun: Begun | None,
    *,
    http: bool,
    host: str | None,
    port: int | None,
    allow_host: Sequence[str],
    trusted_proxy: Sequence[str],
    root_path: str | None,
    share_key: bool,
    sandbox: bool,
) -> None:
    """Serve the Flux 2 tools to a host.

    Over HTTP each request brings its own RunAPI key as Authorization: Bearer KEY.
    """
    if http:
        address = (host or _HOST, _PORT if port is None else port)
        serve = partial(_serve_http, *address, allow_host, trusted_proxy, root_path or "")
        run_interruptible(partial(serve, share_key=share_key, sandbox=sandbox))
    elif host or port is not None or allow_host or trusted_proxy or root_path or share_key:
        raise NotConfigured(
            "--host, --port, --allow-host, --trusted-proxy, --root-path and --share-key are for "
            "HTTP.",
            "Add --http.",
        )
    else:
        over_stdio(begun, sandbox=sandbox)


def over_stdio(begun: Begun | None, *, sandbox: bool) -> None:
    """Serve a host, from where another has begun to."""
    if begun is None and sys.stdin.isatty():
        click.echo(as_typed(_HINT), err=True)
    run_interruptible(partial(_serve_stdio, begun, sandbox=sandbox))


async def _serve_stdio(begun: Begun | None, *, sandbox: bool) -> None:
    from runapi_mcp.transports.stdio import serve_stdio

    async with _server(load_settings(sandbox=sandbox), share_key=False) as (server, background):
        await serve_stdio(server, background, begun)


async def _serve_http(
    host: str,
    port: int,
    allowed_hosts: Sequence[str],
    trusted_proxies: Sequence[str],
    root_path: str,
    *,
    share_key: bool,
    sandbox: bool,
) -> None:
    from runapi_mcp.transports.http import bind, parse_networks, parse_root_path, serve_http
    from runapi_mcp.transports.http_app import http_app

    networks, prefix = parse_networks(trusted_proxies), parse_root_path(root_path)
    sock = bind(host, port, allowed_hosts)
    address, number = sock.getsockname()[:2]
    name = f"[{address}]" if ":" in address else address

    def announce() -> None:
        more = "" if allowed_hosts else "; other names: --allow-host"
        serves = f"http://{name}:{number}{prefix}/mcp (SSE: {prefix}/sse{more})"
        click.echo(f"runapi-mcp serves {serves}", err=True)

    loaded = load_settings(sandbox=sandbox)
    needs_key = not share_key and not loaded.sandbox
    async with (
        _server(loaded, share_key=share_key, is_far=True) as (server, background),
        background.running(),
    ):
        app = http_app(server, allowed_hosts, loaded.http, needs_key=needs_key, root_path=prefix)
        await serve_http(app, sock, announce, loaded.http, networks)


def load_settings(*, sandbox: bool) -> Settings:
    """The settings of this process; what a person should hear of them is logged."""
    from runapi_mcp.base import settings

    loaded = settings.load(sandbox=sandbox)
    keys = (loaded.key, loaded.runflow.key) if loaded.runflow else (loaded.key,)
    log_to_stderr([key.reveal() for key in keys if key.secret])
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    return loaded


@asynccontextmanager
async def _server(
    loaded: Settings, *, share_key: bool, is_far: bool = False
) -> AsyncGenerator[tuple[Server[Any], Background]]:
    """The server as the settings want it, on RunAPI or on a sandbox of its own.

    Its background is to run while it serves. `is_far` tells that callers may be elsewhere.
    """
    from runapi_mcp.base import settings
    from runapi_mcp.cli.composition import (
        ledger_of,
        offered_variants,
        others_of,
        service_of,
        shared_state_of,
    )
    from runapi_mcp.login import pending_logins
    from runapi_mcp.providers.runapi import RunAPI
    from runapi_mcp.server import create_server

    if is_far and not share_key and not loaded.sandbox:
        # What this server's own key pays for is not for those who bring theirs.
        loaded = loaded._replace(runflow=None)
    base_url, keys = _address_and_keys(loaded, share_key=share_key)
    async with (
        aclosing(ledger_of(loaded)) as ledger,
        aclosing(RunAPI(base_url)) as upstream,
        others_of(loaded, base_url) as others,
        pending_logins(upstream, partial(settings.key_now, base_url)) as logins,
    ):
        shared = shared_state_of(loaded, ledger, others)
        service = service_of(loaded, upstream, shared, keys, logins, others)
        variants = offered_variants(loaded, others)
        given = loaded.pictures.save
        saves = not is_far if given is None else given
        yield create_server(service, variants, saves=saves), shared.background


def _address_and_keys(loaded: Settings, *, share_key: bool) -> tuple[str, Keys]:
    """A new sandbox has its own key for everybody."""
    from runapi_mcp.base.settings import key_now
    from runapi_mcp.cli.composition import address_and_key
    from runapi_mcp.server import Keys

    base_url, key = address_and_key(loaded)
    if loaded.sandbox:
        return base_url, Keys(key, "own")
    http = "brought or own" if share_key else "brought"
    return base_url, Keys(key, http, partial(key_now, base_url))
