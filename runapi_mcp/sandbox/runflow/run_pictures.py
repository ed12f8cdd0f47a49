"""The pictures of runs, at signed addresses that expire three days after they were drawn."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from json import dumps
from typing import Final
from urllib.parse import urlencode

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.sandbox.accounts import Accounts
from runapi_mcp.sandbox.course import phase_at
from runapi_mcp.sandbox.faults import Faults
from runapi_mcp.sandbox.http_messages import Refusal, Table
from runapi_mcp.sandbox.picture_cache import PictureCache
from runapi_mcp.sandbox.runflow.run_store import StoredRun

ADDRESS_SECONDS: Final = 3 * 24 * 3600.0


@dataclass(slots=True)
class RunPictures:
    """`/images/...`, with the signature in the query: whoever has an address needs no key."""

    _accounts: Accounts[StoredRun]
    _faults: Faults
    _cache: PictureCache = field(default_factory=PictureCache)
    _secret: bytes = field(default_factory=partial(secrets.token_bytes, 32))

    def table(self) -> Table:
        yield "GET", "/images/{name}", self._read

    def address_of(self, run: StoredRun) -> str:
        name = f"{run.id}.{run.order.input.file_format}"
        expires = f"{run.started + run.seconds + ADDRESS_SECONDS:.3f}"
        signed = {"expires": expires, "signature": self._signature(name, expires)}
        return f"{run.base_url}/images/{name}?{urlencode(signed)}"

    async def _read(self, request: Request) -> Response:
        await self._faults.misbehave("image")
        name = request.path_params["name"]
        self._check(name, request.query_params)
        if "authorization" in request.headers:
            raise Refusal(400, "An API key does not belong here.")
        run = self._accounts.task(name.partition(".")[0])
        if run is None or phase_at(self._accounts.clock(), run) != "drawn":
            raise Refusal(404, "There is no such picture.", code="NOT_FOUND")
        picture = await self._cache.get(run.id, partial(_draw, run))
        return Response(picture, media_type=f"image/{run.order.input.file_format}")

    def _check(self, name: str, query: Mapping[str, str]) -> None:
        expires = query.get("expires", "")
        if not hmac.compare_digest(self._signature(name, expires), query.get("signature", "")):
            raise Refusal(403, "The signature does not match.")
        if self._accounts.clock() > float(expires):
            raise Refusal(403, "The address has expired.")

    def _signature(self, name: str, expires: str) -> str:
        return hmac.new(self._secret, f"{name}\n{expires}".encode(), sha256).hexdigest()


async def _draw(run: StoredRun) -> bytes:
    # Drawing takes long: the event loop goes on answering meanwhile.
    return await run_sync(_render, run)


def _render(run: StoredRun) -> bytes:
    # Imported here: Pillow is for pictures, and most of the sandbox's answers are not.
    from runapi_mcp.sandbox.pictures import Scene, draw

    fields = run.order.input.model_dump(mode="json", exclude={"prompt"})
    # The same seed with the same settings is the same picture, whichever run draws it.
    seed = dumps({**fields, "seed": run.seed}, sort_keys=True)
    width, height = run.order.input.size
    scene = Scene(run.script.prompt, "flux-2-flex", seed, width, height)
    return draw(scene, run.order.input.file_format)
