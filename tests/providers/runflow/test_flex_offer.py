"""What Runflow's public list says of flex: sizes, prices, whether it is sold at all, and where."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.providers.runflow.made_up import DONE, FLEX, server_of
from tests.support.world import facts, said

pytestmark = pytest.mark.anyio
FLEX_ROW: Mapping[str, Any] = {
    "slug": "flux-2-flex",
    "availability_status": "available",
    "pricing_note": "$0.05 per megapixel, input and output",
    "inputs": [{"name": "image_size", "validator_attrs": {"min": 64, "max": 2048}}],
}


class Shelf:
    """A Runflow with this public list, and what was ordered there."""

    def __init__(self, listed: object) -> None:
        self.listed = listed
        self.ordered: list[tuple[str, Any]] = []
        self.lists_read = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/public/models":
            self.lists_read += 1
            assert "authorization" not in request.headers
            return httpx.Response(200 if self.listed is not None else 503, json=self.listed)
        if request.method == "POST":
            self.ordered.append((request.url.path, json.loads(request.content)["input"]))
        return httpx.Response(201, json={**DONE, "cost": None, "status_code": "queued"})


def shelf(**row: Any) -> Shelf:
    return Shelf({"items": [{"slug": "another-model"}, {**FLEX_ROW, **row}], "next": None})


async def ordered(there: Shelf, **arguments: Any) -> dict[str, Any] | str:
    """What a call was answered: its facts, or why it was refused."""
    async with server_of(there) as client:
        result = await client.call_tool(FLEX, {"prompt": "a fox", "wait_seconds": 0, **arguments})
    return said(result) if result.is_error else facts(result)


@pytest.mark.parametrize(
    ("size", "cents"),
    [
        (None, 5),
        ("square", 5),
        ("512x512", 5),
        ("1024x1024", 5),
        ("1024x1025", 10),
        ("1920x1080", 10),
        ("1920 X 1080", 10),
        ("landscape-16-9", 5),
        ("2048x2048", 20),
    ],
)
@pytest.mark.parametrize("is_read", [True, False])
async def test_a_picture_costs_by_the_megapixel_rounded_up(
    size: str | None, cents: float, *, is_read: bool
) -> None:
    arguments = {} if size is None else {"image_size": size}
    told = await ordered(shelf() if is_read else Shelf(None), **arguments)
    assert isinstance(told, dict)
    assert told["price_cents"] == cents
    basis = "live from Runflow" if is_read else "Runflow's published price of 2026-03; the live one"
    assert told["price_basis"].startswith(basis)


@pytest.mark.parametrize(
    ("size", "why"),
    [
        ("big", "must be WIDTHxHEIGHT in pixels, or one of square_hd"),
        ("0x100", "must be WIDTHxHEIGHT"),
        ("1024", "must be WIDTHxHEIGHT"),
        ("1024x1024x3", "must be WIDTHxHEIGHT"),
        ("-5x100", "must be WIDTHxHEIGHT"),
        ("100000x1", "must be WIDTHxHEIGHT"),
        ("٣x٣", "must be WIDTHxHEIGHT"),
        ("63x1024", "has a side below 64 px, which Runflow's public list gives"),
        ("2049x64", "has a side above 2048 px, which Runflow's public list gives"),
    ],
)
async def test_a_size_that_is_not_sold_is_refused_before_money_is_spent(
    size: str, why: str
) -> None:
    there = shelf()
    told = await ordered(there, image_size=size)
    assert isinstance(told, str)
    assert why in told
    assert there.ordered == []


@pytest.mark.parametrize(("size", "is_sold"), [("2048x2048", True), ("2049x2048", False)])
async def test_without_ranges_four_megapixels_are_the_most(size: str, *, is_sold: bool) -> None:
    there = shelf(inputs=None)
    told = await ordered(there, image_size=size)
    assert len(there.ordered) == is_sold
    assert is_sold or "is above 4 megapixels" in str(told)


async def test_a_size_may_come_as_the_object_that_runflow_takes() -> None:
    there = shelf()
    await ordered(there, image_size={"width": 640, "height": 480})
    [(_, sent)] = there.ordered
    assert sent["image_size"] == {"width": 640, "height": 480}


@pytest.mark.parametrize("word", ["coming_soon", "Unavailable", "disabled"])
async def test_what_the_list_says_cannot_be_ordered_is_refused(word: str) -> None:
    there = shelf(availability_status=word)
    told = await ordered(there)
    assert f"flex cannot be ordered now: {word}." in str(told)
    assert there.ordered == []


@pytest.mark.parametrize("word", ["early_access", "a word to come", None, 7])
async def test_of_other_words_the_create_itself_tells(word: object) -> None:
    there = shelf(availability_status=word)
    await ordered(there)
    assert len(there.ordered) == 1


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({}, "black-forest-labs/flux-2-flex"),
        ({"slug": "bfl/flux-2-flex"}, "bfl/flux-2-flex"),
        ({"owner": "bfl"}, "bfl/flux-2-flex"),
        ({"path": "bfl/flux-2-flex/text-to-image"}, "bfl/flux-2-flex/text-to-image"),
        ({"path": "../../admin"}, "black-forest-labs/flux-2-flex"),
        ({"path": "https://evil.example/x"}, "black-forest-labs/flux-2-flex"),
        ({"owner": "a b?c"}, "black-forest-labs/flux-2-flex"),
    ],
    ids=str,
)
async def test_where_it_is_ordered_the_list_says_if_it_says_so_well(
    row: dict[str, str], path: str
) -> None:
    there = shelf(**row)
    await ordered(there)
    assert [sent[0] for sent in there.ordered] == [f"/v1/models/{path}/runs"]


UNREADABLE = (
    "null",
    "{}",
    '{"items": "none"}',
    '{"items": [7, null, {"slug": 5}]}',
    '{"data": [{}]}',
)


@pytest.mark.parametrize("listed", UNREADABLE)
async def test_a_list_that_cannot_be_read_stops_nobody(listed: str) -> None:
    there = Shelf(json.loads(listed))
    told = await ordered(there)
    assert isinstance(told, dict)
    assert (told["price_cents"], len(there.ordered)) == (5, 1)


async def test_the_list_is_read_once_for_many_calls() -> None:
    there = shelf()
    async with server_of(there) as client:
        for number in range(3):
            await client.call_tool(FLEX, {"prompt": f"fox {number}", "wait_seconds": 0})
        prices = facts(
            await client.call_tool("check_pricing", {"model": "runflow-flex-text-to-image"})
        )
    assert there.lists_read == 1
    assert prices["prices"] == [
        {
            "model": "runflow-flux-2-flex-text-to-image",
            "price_cents": 5,
            "price_basis": "live from Runflow, for an image of 1 MP",
        }
    ]


async def test_check_pricing_tells_what_a_size_costs() -> None:
    async with server_of(shelf()) as client:
        asked = {"model": "runflow-flex-text-to-image", "image_size": "1920x1080"}
        [row] = facts(await client.call_tool("check_pricing", asked))["prices"]
        every = facts(await client.call_tool("check_pricing", {}))["prices"]
    assert (row["price_cents"], row["price_basis"]) == (
        10,
        "live from Runflow, for an image of 2 MP",
    )
    assert [each["model"] for each in every][-1] == "runflow-flux-2-flex-text-to-image"


async def test_a_price_that_the_list_changes_counts_for_the_limits_too() -> None:
    there = shelf(pricing_note="Now $0.08/MP")
    told = await ordered(there, image_size="1920x1080")
    assert isinstance(told, dict)
    assert told["price_cents"] == 16
