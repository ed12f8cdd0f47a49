"""HAProxy and nginx before some servers, as docs/hosting.md has them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.support.fleet.reserved_port import reserved_port
from tests.support.processes import LIMIT_SECONDS

Balancer = Callable[[Sequence[int]], AbstractAsyncContextManager[str]]
"""The address at which the servers of these ports are reached, as long as it lasts."""

_BOUND_TO = ":8080"
_HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-request 15s
    retries 3
    option redispatch

frontend mcp
    bind :8080
    default_backend runapi

backend runapi
    balance roundrobin
    {options}
    option forwardfor
    option httpchk GET /readyz
    http-reuse never
    default-server check inter 200ms fall 2 rise 1
    {servers}
"""
_NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream runapi {{
        {servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://runapi;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""


@asynccontextmanager
async def direct(ports: Sequence[int]) -> AsyncGenerator[str]:
    """The first of them, with nothing before it."""
    yield f"http://127.0.0.1:{ports[0]}"


@asynccontextmanager
async def haproxy(ports: Sequence[int], *options: str) -> AsyncGenerator[str]:
    """The address of an HAProxy before the servers on these ports, round robin."""
    lines = [f"server replica{number} 127.0.0.1:{number}" for number in ports]
    config = _HAPROXY.format(options="\n    ".join(options), servers="\n    ".join(lines))
    async with running_haproxy(config, bound_to=_BOUND_TO) as url:
        yield url


@asynccontextmanager
async def running_haproxy(config: str, *, bound_to: str) -> AsyncGenerator[str]:
    """The address of an HAProxy with this configuration, in which it is bound as said."""
    program = _required("haproxy")
    with tempfile.TemporaryDirectory(prefix="balancer-") as folder, reserved_port() as port:
        assert config.count(f"bind {bound_to}\n") == 1
        here = config.replace(f"bind {bound_to}\n", f"bind 127.0.0.1:{port}\n")
        async with _running([program, "-db", "-q", "-f", _written(folder, here)], port):
            yield f"http://127.0.0.1:{port}"


def _written(folder: str, config: str) -> str:
    path = Path(folder, "haproxy.cfg")
    path.write_text(config)
    return str(path)


@asynccontextmanager
async def nginx(ports: Sequence[int]) -> AsyncGenerator[str]:
    """The address of an nginx before the servers on these ports, round robin."""
    program = _required("nginx")
    with tempfile.TemporaryDirectory(prefix="balancer-") as name, reserved_port() as port:
        folder = Path(name)
        lines = [f"server 127.0.0.1:{number} max_fails=1 fail_timeout=1s;" for number in ports]
        config = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(
            _NGINX.format(port=port, folder=folder, user=user, servers="\n        ".join(lines))
        )
        async with _running([program, "-p", str(folder), "-c", str(config)], port):
            yield f"http://127.0.0.1:{port}"


def _required(name: str) -> str:
    program = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        pytest.skip(f"NOT RUN: {name} is not installed (apt-get install {name})")
    return program


@asynccontextmanager
async def _running(command: Sequence[str], port: int) -> AsyncGenerator[None]:
    async with await anyio.open_process(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            with anyio.fail_after(LIMIT_SECONDS):
                while not await _answers(port):
                    assert process.returncode is None, f"{command[0]} ended"
                    await anyio.sleep(0.02)
            yield
        finally:
            if process.returncode is None:
                process.terminate()


async def _answers(port: int) -> bool:
    try:
        async with await anyio.connect_tcp("127.0.0.1", port):
            return True
    except OSError:
        return False
