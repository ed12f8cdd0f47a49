"""Another provider behind the port: the server draws, prices and tells the balance with it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.balance import Balance
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.catalog.vendors import RUNAPI
from runapi_mcp.base.errors import OutOfCredit, TaskNotFound
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.providers.port import (
    CREATE_SECONDS,
    IssuedKey,
    LoginGrant,
    PricedCall,
    Provider,
    UploadedFile,
)
from runapi_mcp.server import Keys
from tests.support.world import facts, said, served

pytestmark = pytest.mark.anyio
KEY = Key(SecretStr("a key of another house"))
TASK_ID = "00000000-0000-4000-8000-000000000001"
DRAW = "flux_2_pro_text_to_image"


class OtherHouse:
    """Sells every picture for 3 cents, as long as there are 5 on the account. Issues no keys."""

    base_url = "https://pictures.example"

    def __init__(self) -> None:
        self.cents = 5
        self.sold: dict[str, Task] = {}

    def provider(self, key: Key) -> Provider:
        return OtherProvider(self, key)

    async def exchange(self, grant: LoginGrant) -> IssuedKey:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


class OtherProvider:
    vendor = RUNAPI
    find = None

    def __init__(self, house: OtherHouse, key: Key) -> None:
        self._house = house
        self.has_key = key.secret is not None
        self.caller_id = "somebody"

    def require_key(self) -> None:
        assert self.has_key

    def seal(self, text: str) -> str:
        return f"sealed {text}"

    async def prices(self, calls: Sequence[PricedCall]) -> Sequence[Price]:
        return [Price(3, "live") for _ in calls]

    def has_prices(self, calls: Sequence[PricedCall]) -> bool:
        return True

    async def check(self, variant: Variant, arguments: Mapping[str, object]) -> None:
        pass

    def request_body(self, variant: Variant, arguments: Mapping[str, object]) -> str:
        return repr(arguments)

    async def create(
        self,
        variant: Variant,
        body: str,
        idempotency_key: str,
        total_seconds: float = CREATE_SECONDS,
        *,
        before_send: Callable[[], Awaitable[None]] | None = None,
        in_doubt: bool = False,
    ) -> Task:
        if self._house.cents < 3:
            raise OutOfCredit("The other house wants more money.", "Bring some.")
        self._house.cents -= 3
        urls = ("https://pictures.example/1.png",)
        task = Task(TASK_ID, "completed", urls, cost_cents=3, model=variant.model)
        return self._house.sold.setdefault(idempotency_key, task)

    async def read(
        self,
        task_id: str,
        variant: Variant | None = None,
        urgency: Callable[[], float] | None = None,
    ) -> Task:
        for task in self._house.sold.values():
            if task.id == task_id:
                return task
        raise TaskNotFound("The other house knows no such task.", "Look at its id.")

    async def upload(self, name: str, content: bytes, media_type: str) -> UploadedFile:
        raise NotImplementedError

    async def balance(self) -> Balance:
        return Balance(self._house.cents, None, None, None, None, sandbox=False)


async def test_the_server_works_with_another_provider_than_runapi() -> None:
    house = OtherHouse()
    async with served(house, Keys(KEY)) as client:
        offer = facts(await client.call_tool("check_pricing", {"output_resolution": "2k"}))
        drawn = facts(await client.call_tool(DRAW, {"prompt": "a fox"}))
        found = facts(await client.call_tool("get_task", {"task_id": TASK_ID}))
        balance = facts(await client.call_tool("check_balance", {}))
        refused = await client.call_tool(DRAW, {"prompt": "a hare"})
    assert {price["price_cents"] for price in offer["prices"]} == {3}
    assert (drawn["status"], drawn["cost_cents"]) == ("completed", 3)
    assert found["image_urls"] == ["https://pictures.example/1.png"]
    assert balance["balance_cents"] == 2
    assert said(refused) == "The other house wants more money. Nothing was paid. Bring some."
    assert len(house.sold) == 1
