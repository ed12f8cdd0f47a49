"""Pictures kept in a bucket, by any of several servers: once, under their names, behind links."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx
import obstore
import pytest
from obstore.store import MemoryStore, S3Store

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.images.kept_pictures import KeptPictures
from runapi_mcp.images.obstore_bucket import ObstoreBucket
from runapi_mcp.images.picture import Picture
from runapi_mcp.images.picture_links import PictureLinks
from tests.support.collecting import collect, wanted
from tests.support.fleet.s3_server import keys_in
from tests.support.pictures import png

pytestmark = pytest.mark.anyio

PUBLIC: Final = "https://mcp.example.com/flux"
OLD, NEW = (SecretStr(f"{age}-secret-of-the-tests") for age in ("old", "new"))


def kept_in(store: MemoryStore | S3Store, **more: Any) -> KeptPictures:
    return KeptPictures(ObstoreBucket(store), PictureLinks(PUBLIC, [NEW, OLD]), **more)


def contents(store: MemoryStore) -> Mapping[str, bytes]:
    """What is in it, by the keys without their owners."""
    return {
        key.partition("/")[2]: obstore.get(store, key).bytes().to_bytes() for key in keys_in(store)
    }


class Seller:
    """RunAPI's images, and how often they were asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return httpx.Response(200, content=png())


async def collected(
    kept: KeptPictures, seller: Seller, count: int = 1, **given: Any
) -> Sequence[Picture]:
    pictures = [wanted(number) for number in range(1, count + 1)]
    more: Mapping[str, Any] = {"kept_name": "hero", **given}
    return await collect(seller, None, pictures, kept=kept, **more)


async def test_a_picture_is_kept_under_its_name_with_what_it_is_beside_it() -> None:
    store = MemoryStore()
    (picture,) = await collected(kept_in(store), Seller())
    found = contents(store)
    assert list(found) == ["task-1/1/hero.png", "task-1/1/hero.png.json"]
    assert found["task-1/1/hero.png"] == png()
    assert json.loads(found["task-1/1/hero.png.json"])["task_id"] == "task-1"
    assert picture.is_kept
    assert picture.url.startswith(f"{PUBLIC}/pictures/")
    assert picture.preview is not None


async def test_another_server_finds_it_and_fetches_nothing() -> None:
    store, seller = MemoryStore(), Seller()
    (first,) = await collected(kept_in(store), seller)
    (second,) = await collected(kept_in(store), seller, kept_name="another-name")
    assert second == first
    assert seller.asked == 1


async def test_each_of_a_set_is_kept_by_its_number() -> None:
    store = MemoryStore()
    pictures = await collected(kept_in(store, has_sidecars=False), Seller(), 2)
    assert list(contents(store)) == ["task-1/1/hero-1.png", "task-1/2/hero-2.png"]
    assert len({picture.url for picture in pictures}) == 2


async def test_what_is_there_is_never_written_over() -> None:
    bucket = ObstoreBucket(MemoryStore())
    assert bucket.create("a/b.png", b"first", "image/png")
    assert not bucket.create("a/b.png", b"second", "image/png")
    assert bucket.read("a/b.png", 100) == b"first"


async def test_nobody_elses_key_leads_to_a_callers_pictures() -> None:
    store, seller = MemoryStore(), Seller()
    (mine,) = await collected(kept_in(store), seller)
    (theirs,) = await collected(kept_in(store), seller, caller="somebody else")
    assert seller.asked == 2
    assert mine.url != theirs.url


async def test_a_picture_stays_in_the_format_it_came_in_and_that_is_said() -> None:
    store = MemoryStore()
    (picture,) = await collected(kept_in(store), Seller(), suffix=".webp")
    assert "task-1/1/hero.png" in contents(store)
    assert picture.note == "It is kept as it came, not as .webp."


async def test_a_bucket_that_cannot_be_used_costs_the_link_and_not_the_picture() -> None:
    nowhere = S3Store(
        "nowhere",
        endpoint="http://127.0.0.1:9",
        access_key_id="an-id",
        secret_access_key="a-secret",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    (picture,) = await collected(kept_in(nowhere), Seller())
    assert picture.url == wanted().url
    assert picture.not_saved == ("The picture was not kept: The bucket cannot be used just now.")
    assert picture.preview is not None


async def test_what_somebody_else_put_into_its_place_is_no_picture_of_ours() -> None:
    store, seller = MemoryStore(), Seller()
    await collected(kept_in(store), seller)
    key, _ = keys_in(store)
    obstore.put(store, key, b"<svg onload=alert(1)>")
    (picture,) = await collected(kept_in(store), seller)
    assert seller.asked == 2
    assert picture.preview is not None


def test_a_link_is_known_by_each_secret_until_that_is_taken_out() -> None:
    folder = "0123456789abcdef/task-1/1"
    path = PictureLinks(PUBLIC, [OLD]).link_of(folder).removeprefix("https://mcp.example.com")
    assert PictureLinks(PUBLIC, [NEW, OLD]).folder_at(path) == folder
    assert PictureLinks(PUBLIC, [NEW, OLD]).folder_at(path.removeprefix("/flux")) == folder
    assert PictureLinks(PUBLIC, [NEW]).folder_at(path) is None


MEDDLED: Final[Mapping[str, Callable[[str], str]]] = {
    "cut": lambda path: path[:-1],
    "longer": lambda path: f"{path}0",
    "sibling": lambda path: path.replace("/1.", "/2."),
    "up": lambda path: path.replace("task-1", "../task-1"),
    "around": lambda path: path.replace("task-1", "task-1/../../0123456789abcdef/task-1"),
    "capitals": lambda path: path.upper(),
    "unsigned": lambda path: path.partition(".")[0],
    "line": lambda path: f"{path}\n",
}


@pytest.mark.parametrize("meddled", MEDDLED)
def test_a_path_that_was_not_made_by_us_leads_nowhere(meddled: str) -> None:
    links = PictureLinks(PUBLIC, [NEW])
    path = links.link_of("0123456789abcdef/task-1/1").removeprefix(PUBLIC)
    assert links.folder_at(path) is not None
    assert links.folder_at(MEDDLED[meddled](path)) is None
