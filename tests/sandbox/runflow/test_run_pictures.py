"""Pictures of runs: their size and format, one for each seed, at addresses that expire."""

from io import BytesIO

import httpx
import pytest
from PIL import Image

from runapi_mcp.sandbox.app import Sandbox
from tests.support.runflow_client import (
    authorized,
    create_run,
    order,
    picture_address,
    read_run,
    refused,
)
from tests.support.sandbox_client import answered, later

pytestmark = pytest.mark.anyio

SMALL = {"image_size": {"width": 96, "height": 64}}
DAY = 24 * 3600.0


@pytest.fixture
def sandbox() -> Sandbox:
    """It draws at once."""
    return Sandbox(draw_seconds=0)


async def drawn(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient, **input_fields: object
) -> bytes:
    """The picture of a new run, fetched without a key."""
    address = await picture_address(client, order(**{**SMALL, **input_fields}))
    response = await anybody.get(address)
    assert response.status_code == 200
    return response.content


@pytest.mark.parametrize(
    ("input_fields", "file_format", "size"),
    [
        ({}, "JPEG", (1024, 768)),
        ({"output_format": "jpeg", "image_size": "square"}, "JPEG", (512, 512)),
        ({"output_format": "png", **SMALL}, "PNG", (96, 64)),
        ({"output_format": "png", "image_size": "portrait_16_9"}, "PNG", (576, 1024)),
    ],
)
async def test_a_picture_has_the_size_and_the_format_that_were_ordered(
    client: httpx.AsyncClient,
    anybody: httpx.AsyncClient,
    input_fields: dict[str, object],
    file_format: str,
    size: tuple[int, int],
) -> None:
    response = await anybody.get(await picture_address(client, order(**input_fields)))
    image = Image.open(BytesIO(response.content))
    assert (image.format, image.size) == (file_format, size)
    assert response.headers["content-type"] == f"image/{file_format.lower()}"


async def test_one_seed_with_the_same_settings_is_one_picture_and_none_is_another_each_time(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    assert await drawn(client, anybody, seed=7) == await drawn(client, anybody, seed=7)
    others = [
        {"seed": 8},
        {"seed": 7, "guidance_scale": 9.5},
        {"seed": 7, "num_inference_steps": 2},
    ]
    pictures = {await drawn(client, anybody, **each) for each in ({"seed": 7}, *others, {}, {})}
    assert len(pictures) == 6


async def test_the_seed_that_a_run_tells_draws_its_picture_again(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    run = await read_run(client, await create_run(client, order(**SMALL)))
    first = await anybody.get(run["output"]["outputs"][0]["url"])
    assert await drawn(client, anybody, seed=run["output"]["seed"]) == first.content


async def test_an_address_is_the_same_at_every_read_and_expires_after_three_days(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    run_id = await create_run(client, order(**SMALL))
    address = (await read_run(client, run_id))["output"]["outputs"][0]["url"]
    await later(3 * DAY - 1)
    assert (await anybody.get(address)).status_code == 200
    assert (await read_run(client, run_id))["output"]["outputs"][0]["url"] == address
    await later(2)
    expired = refused("PERMISSION_DENIED", "The address has expired.")
    assert answered(await anybody.get(address)) == (403, expired)


async def test_an_address_is_good_only_as_it_was_signed_and_without_a_key(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    address = await picture_address(client, order(**SMALL))
    forged = refused("PERMISSION_DENIED", "The signature does not match.")
    for other in (
        address.replace("expires=", "expires=9"),
        address.replace(".jpeg", ".png"),
        address[:-1],
        address.partition("?")[0],
    ):
        assert answered(await anybody.get(other)) == (403, forged)
    keyed = refused("REQUEST_FAILED", "An API key does not belong here.")
    assert answered(await anybody.get(address, headers=authorized())) == (400, keyed)
