"""Pictures of a server whose callers are elsewhere: links of its own, through a bucket of S3."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from mcp import Client
from obstore.store import S3Store

from runapi_mcp.gallery import PAGE_URI
from runapi_mcp.images.obstore_bucket import ObstoreBucket
from tests.support.fleet.s3_server import S3Server, keys_in, s3_server
from tests.support.processes import DRAW, QUICK, host, network, program, small_png
from tests.support.world import KEY, facts

pytestmark = pytest.mark.anyio
PUBLIC: Final = "https://mcp.example.com"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, slots=True)
class Kept:
    """Two servers that share nothing but a bucket."""

    urls: tuple[str, str]
    s3: S3Server

    async def follow(self, link: str, url: str) -> httpx.Response:
        """The answer to a link, from the server at this address."""
        path = urlsplit(link).path
        async with httpx.AsyncClient() as http:
            return await http.get(url + path, headers={"Host": "mcp.example.com"})

    def store(self) -> S3Store:
        return S3Store(
            self.s3.bucket,
            endpoint=self.s3.url,
            access_key_id="an-id",
            secret_access_key="a-secret",
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def stored(self) -> list[str]:
        return keys_in(self.store())


@pytest.fixture(scope="module")
async def kept() -> AsyncGenerator[Kept]:
    with s3_server() as s3:
        async with network() as net:
            environment = {
                **net.environment(),
                **s3.environment,
                "RUNAPI_PICTURES": f"s3://{s3.bucket}/flux",
                "RUNAPI_PUBLIC_URL": PUBLIC,
                "RUNAPI_FLEET_SECRET": "the-secret-of-the-tests",
            }
            arguments = ("serve", "--http", "--port", "0", "--allow-host", "mcp.example.com")
            one = program(*arguments, environment={**environment, "RUNAPI_LEDGER": "off"})
            other = program(*arguments, environment={**environment, "RUNAPI_LEDGER": "off"})
            async with one as first, other as second:
                lines = [
                    await running.stderr.holding("runapi-mcp serves ")
                    for running in (first, second)
                ]
                one_url, other_url = (line.split()[2].removesuffix("/mcp") for line in lines)
                yield Kept((one_url, other_url), s3)


async def drawn(client: Client, **arguments: Any) -> Mapping[str, Any]:
    result = await client.call_tool(DRAW, {"prompt": QUICK, "wait_seconds": 60, **arguments})
    return facts(result)


async def test_a_link_leads_to_a_fresh_address_of_the_picture_on_any_server(kept: Kept) -> None:
    async with host(kept.urls[0], "/mcp", "auto", KEY) as client:
        told = await drawn(client, save_as="animals/hero")
    (link,) = told["image_urls"]
    assert link.startswith(f"{PUBLIC}/pictures/")
    assert "image_paths" not in told
    assert "expires" not in told
    for url in kept.urls:
        answer = await kept.follow(link, url)
        assert answer.status_code == 302
        async with httpx.AsyncClient() as http:
            picture = await http.get(answer.headers["Location"])
        assert picture.content == small_png()
        assert picture.headers["Content-Type"] == "image/png"
    (key,) = [key for key in kept.stored() if told["task_id"] in key and key.endswith(".png")]
    assert key.startswith("flux/")
    assert key.endswith("/1/hero.png")


async def test_another_server_that_shares_no_ledger_tells_the_same_link(kept: Kept) -> None:
    async with host(kept.urls[0], "/mcp", "auto", KEY) as client:
        told = await drawn(client, redraw=(await drawn(client))["task_id"])
    async with host(kept.urls[1], "/mcp", "auto", KEY) as client:
        again = facts(await client.call_tool("get_task", {"task_id": told["task_id"]}))
    assert again["image_urls"] == told["image_urls"]
    assert len([key for key in kept.stored() if told["task_id"] in key]) == 2


async def test_the_bucket_itself_refuses_a_second_object_of_a_key(kept: Kept) -> None:
    bucket = ObstoreBucket(kept.store())
    assert bucket.create("twice/1.png", b"first", "image/png")
    assert not bucket.create("twice/1.png", b"second", "image/png")
    assert bucket.read("twice/1.png", 3) == b"fir"


async def test_save_as_is_offered_and_no_tool_that_needs_a_disk(kept: Kept) -> None:
    async with host(kept.urls[0], "/mcp", "legacy", KEY) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert "save_as" in tools[DRAW].input_schema["properties"]
        assert "convert_image" not in tools
        assert "Image URLs last. " in (client.instructions or "")


async def test_the_gallery_may_load_what_a_link_leads_to(kept: Kept) -> None:
    async with host(kept.urls[0], "/mcp", "auto", KEY) as client:
        page = (await client.read_resource(PAGE_URI)).contents[0]
    domains = (page.meta or {})["ui"]["csp"]["resourceDomains"]
    assert {PUBLIC, kept.s3.url} <= set(domains)


@pytest.mark.parametrize(
    "path", ["/pictures/", "/pictures/x", "/pictures/0123456789abcdef/task/1." + "0" * 32]
)
async def test_a_link_that_nobody_gave_is_not_there(path: str, kept: Kept) -> None:
    answer = await kept.follow(PUBLIC + path, kept.urls[0])
    assert answer.status_code == 404
    assert answer.text == "There is no such picture.\n"
