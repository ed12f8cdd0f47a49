"""RunAPI's own SDK, which knows nothing of ours, takes the sandbox for RunAPI, over sockets."""

from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image
from runapi.core import (
    AuthenticationError,
    ClientOptions,
    ConflictError,
    Error,
    HttpClient,
    InsufficientCreditsError,
    NetworkError,
    NotFoundError,
    PricingClient,
    RateLimitError,
    RequestOptions,
    ServerError,
    ServiceUnavailableError,
    TaskFailedError,
    ValidationError,
)
from runapi.flux import FluxClient
from runapi.flux_2 import Flux2Client

from runapi_mcp.sandbox.app import start_in_thread
from tests.support.processes import LIMIT_SECONDS

PRO = "flux-2-pro-text-to-image"
MAX = "flux-2-max-text-to-image"
REMIX = "flux-2-pro-remix-image"
KLEIN = "flux-2-klein"
ONCE = RequestOptions(headers={"Idempotency-Key": "one"})


@pytest.fixture(scope="module")
def base_url() -> str:
    """A sandbox on a port of this machine that draws at once: the SDK never waits for it."""
    return start_in_thread(draw_seconds=0).base_url


@pytest.fixture
def http(base_url: str, request: pytest.FixtureRequest) -> Iterator[HttpClient]:
    """The SDK's transport, with an account of the test's own and retries that do not wait."""
    http = HttpClient(
        ClientOptions(
            api_key=f"sandbox-{request.node.name}",
            base_url=base_url,
            timeout=LIMIT_SECONDS,
            retry_base_delay=0.0,
        )
    )
    yield http
    http.close()


@pytest.fixture
def client(http: HttpClient) -> Flux2Client:
    return Flux2Client("unused, as the transport has a key", http_client=http)


@pytest.fixture
def flux(http: HttpClient) -> FluxClient:
    """RunAPI's client of the service that sells klein."""
    return FluxClient("unused, as the transport has a key", http_client=http)


@pytest.fixture
def fox(tmp_path: Path) -> Path:
    """A local picture, three wide and two high."""
    path = tmp_path / "fox.png"
    Image.new("RGB", (60, 40), "red").save(path)
    return path


def spent_cents(client: Flux2Client) -> int:
    return client.account.balance().spent_cents_total


def size_of(url: str) -> tuple[int, int]:
    return Image.open(BytesIO(httpx.get(url).content)).size


def test_run_creates_a_task_and_returns_its_picture_and_its_cost(
    client: Flux2Client, base_url: str
) -> None:
    task = client.text_to_image.run(
        model=PRO, prompt="a red fox", aspect_ratio="16:9", enable_safety_checker=False
    )
    assert task.to_dict() == {
        "id": task.id,
        "status": "completed",
        "images": [{"url": f"{base_url}/images/{task.id}.png"}],
        "usage": {"cost": 0.05},
        "sandbox": True,
    }
    assert task.runapi_task_id == task.id
    assert size_of(task.images[0].url) == (1360, 768)
    assert spent_cents(client) == 5


def test_create_and_get_are_the_two_halves_of_run(client: Flux2Client) -> None:
    task = client.text_to_image.create(model=PRO, prompt="a red fox", output_resolution="2k")
    assert task.to_dict() == {
        "id": task.id,
        "status": "pending",
        "billing": {"reservation": {"amount_cents": 7}, "settlement": None, "refund": None},
        "sandbox": True,
    }
    assert client.text_to_image.get(task.id).usage.cost == 0.07


def test_klein_is_created_read_and_run_at_its_own_service(
    flux: FluxClient, client: Flux2Client
) -> None:
    task = flux.text_to_image.create(model=KLEIN, prompt="a red fox", aspect_ratio="16:9")
    assert task.billing.reservation.amount_cents == 3
    read = flux.text_to_image.get(task.id)
    assert (read.status, read.usage.cost) == ("completed", 0.03)
    assert size_of(read.images[0].url) == (1360, 768)
    assert flux.text_to_image.run(model=KLEIN, prompt="a blue fox").status == "completed"
    assert spent_cents(client) == 6


@pytest.mark.parametrize("field", ["output_resolution", "enable_safety_checker"])
def test_klein_takes_neither_a_resolution_nor_a_safety_switch(flux: FluxClient, field: str) -> None:
    wanted: dict[str, Any] = {"model": KLEIN, "prompt": "a fox", field: "1k"}
    with pytest.raises(ValidationError) as refused:
        flux.text_to_image.create(**wanted)
    assert refused.value.details["errors"] == {field: ["is not permitted for this model"]}


def test_klein_and_the_others_are_sold_at_their_own_service_only(
    flux: FluxClient, client: Flux2Client
) -> None:
    for sells_it_not, model in ((client, KLEIN), (flux, PRO)):
        with pytest.raises(ValidationError) as refused:
            sells_it_not.text_to_image.create(model=model, prompt="a fox")
        assert refused.value.details["errors"] == {"model": ["is not available for text_to_image"]}


def test_kleins_price_is_listed_under_its_own_service(base_url: str) -> None:
    http = HttpClient(ClientOptions(base_url=base_url, timeout=LIMIT_SECONDS))
    pricing = PricingClient(http_client=http)
    listed = pricing.list_schedules(service="flux")
    quote = pricing.create_quote("flux", "text_to_image", KLEIN, {})
    http.close()
    assert listed is not None
    assert [(row.model, row.unit_price_cents) for row in listed.price_schedules] == [(KLEIN, 3)]
    assert quote.price_quote.reservation_amount_cents == 3


def test_a_local_file_is_uploaded_in_three_steps_and_remixed_in_its_proportion(
    client: Flux2Client, fox: Path
) -> None:
    file = client.files.create(file=fox)
    assert (file.file_name, file.size_bytes) == ("fox.png", fox.stat().st_size)
    assert httpx.get(file.url).content == fox.read_bytes()
    task = client.remix_image.run(
        model=REMIX, prompt="a blue fox", source_image_urls=[file.url], aspect_ratio="auto"
    )
    assert size_of(task.images[0].url) == (1248, 832)
    assert spent_cents(client) == 5


def test_an_inline_file_is_registered_and_remixed(client: Flux2Client, fox: Path) -> None:
    file = client.files.create(source=b64encode(fox.read_bytes()).decode(), file_name="fox")
    assert (file.file_name, file.size_bytes) == ("fox", fox.stat().st_size)
    task = client.remix_image.create(model=REMIX, prompt="a fox", source_image_urls=[file.url])
    assert client.remix_image.get(task.id).status == "completed"


def test_prices_and_quotes_need_no_key(base_url: str) -> None:
    http = HttpClient(ClientOptions(base_url=base_url, timeout=LIMIT_SECONDS))
    pricing = PricingClient(http_client=http)
    listed = pricing.list_schedules(service="flux_2", action="remix_image", model=REMIX)
    quote = pricing.create_quote("flux_2", "remix_image", REMIX, {"output_resolution": "2k"})
    http.close()
    assert listed is not None
    assert [row.billing_config.to_dict() for row in listed.price_schedules] == [
        {"key": "output_resolution", "overrides": {"1k": 5, "2k": 7}}
    ]
    assert quote.price_quote.reservation_amount_cents == 7


def test_the_account_has_a_name_and_a_balance(client: Flux2Client) -> None:
    assert client.account.info().account.name == "Sandbox"
    assert client.account.balance().balance_cents == 1000


def test_a_wrong_key_is_an_authentication_error(client: Flux2Client) -> None:
    stolen = RequestOptions(headers={"Authorization": "Bearer stolen"})
    with pytest.raises(AuthenticationError, match="Invalid API key"):
        client.account.info(stolen)


def test_an_empty_account_is_an_insufficient_credits_error(client: Flux2Client) -> None:
    dearest: dict[str, Any] = {"model": MAX, "prompt": "a fox", "aspect_ratio": "1:1"}
    for _ in range(1000 // 30):
        client.text_to_image.create(**dearest)
    with pytest.raises(InsufficientCreditsError, match="Insufficient credits"):
        client.text_to_image.create(**dearest)


def test_a_refused_field_is_a_validation_error_that_names_it(client: Flux2Client) -> None:
    with pytest.raises(ValidationError, match="Validation failed") as refused:
        client.text_to_image.create(model=PRO, prompt="a fox", output_count=1)
    assert refused.value.details == {
        "error": "Validation failed",
        "errors": {"output_count": ["is not permitted for this model"]},
        "sandbox": True,
    }
    assert (refused.value.status, str(refused.value.request_id)[:4]) == (422, "req_")


def test_an_unknown_task_is_a_not_found_error(client: Flux2Client) -> None:
    with pytest.raises(NotFoundError, match="Task not found"):
        client.text_to_image.get(str(uuid4()))


def test_a_reused_idempotency_key_is_a_conflict_error(client: Flux2Client) -> None:
    client.text_to_image.create(ONCE, model=PRO, prompt="a red fox")
    with pytest.raises(ConflictError, match="Idempotency-Key was used with other input"):
        client.text_to_image.create(ONCE, model=PRO, prompt="a blue fox")


@pytest.mark.parametrize(
    ("directive", "kind", "message"),
    [
        ("[[429]]", RateLimitError, "Too many requests"),
        ("[[500]]", ServerError, "Internal server error"),
        ("[[503]]", ServiceUnavailableError, "Service unavailable"),
        ("[[html]]", ServerError, "502 Bad Gateway"),
        ("[[torn]]", NetworkError, "peer closed connection"),
    ],
)
def test_a_failure_on_request_is_the_error_of_its_kind(
    client: Flux2Client, directive: str, kind: type[Error], message: str
) -> None:
    with pytest.raises(kind, match=message):
        client.text_to_image.create(model=PRO, prompt=f"a fox {directive}")
    assert spent_cents(client) == 0


def test_a_rate_limit_says_how_long_to_wait(client: Flux2Client) -> None:
    with pytest.raises(RateLimitError) as limited:
        client.text_to_image.create(model=PRO, prompt="a fox [[429 7s]]")
    assert limited.value.retry_after == 7.0


@pytest.mark.parametrize(
    "directive",
    [
        "[[503 x2]]",
        "[[429 x1]]",
        "[[html x1]]",
        "[[torn x2]]",
        "[[created 500 x1]]",
        "[[created torn x1]]",
        "[[poll 503 x2]]",
        "[[poll torn x1]]",
    ],
)
def test_with_an_idempotency_key_the_sdk_recovers_and_is_charged_once(
    client: Flux2Client, directive: str
) -> None:
    wanted: dict[str, Any] = {"model": PRO, "prompt": f"a fox {directive}"}
    task = client.text_to_image.run(ONCE, **wanted)
    assert task.status == "completed"
    assert client.text_to_image.create(ONCE, **wanted).id == task.id
    assert spent_cents(client) == 5


def test_a_failed_task_is_a_task_failed_error_and_free(client: Flux2Client) -> None:
    with pytest.raises(TaskFailedError, match="no foxes today") as failed:
        client.text_to_image.run(model=PRO, prompt="a fox [[fail: no foxes today]]")
    assert failed.value.details == {
        "id": failed.value.runapi_task_id,
        "status": "failed",
        "images": [],
        "error": "no foxes today",
        "sandbox": True,
    }
    assert spent_cents(client) == 0


def test_the_location_of_a_create_leads_to_the_stored_answer(client: Flux2Client) -> None:
    task = client.text_to_image.create(model=PRO, prompt="a red fox")
    stored = client.text_to_image.subscribe(task.response_header("Location"))
    read = client.text_to_image.get(task.id).to_dict()
    assert {**stored.to_dict(), "sandbox": True} == read
    assert stored.runapi_task_id == task.id


def test_the_location_of_a_failed_task_leads_to_the_error_of_its_stored_answer(
    client: Flux2Client,
) -> None:
    task = client.text_to_image.create(model=PRO, prompt="a fox [[fail: no foxes today]]")
    with pytest.raises(ValidationError, match="no foxes today"):
        client.text_to_image.subscribe(task.response_header("Location"))
