"""Asking the person before a dear call: only a yes pays, and a client that cannot ask is no yes."""

from pathlib import Path

import anyio
import httpx
import pytest
from mcp import Client, MCPError
from mcp.client.context import ClientRequestContext
from mcp_types import (
    CallToolResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
)

from runapi_mcp.orders.limits import Limits
from tests.support.photos import REMIX, asking, photo, remixing
from tests.support.world import ERAS, client_of, facts, said, world

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
DRAW, DEAR = "flux_2_pro_text_to_image", "flux_2_max_text_to_image"
FOX = {"prompt": "a fox"}
LARGE_FOX = FOX | {"output_resolution": "2k"}
UNPRICED = FOX | {"aspect_ratio": "1:1"}
"""For the variant whose price only the live list tells."""
OVER_4 = Limits(confirm_over_cents=4)
PRICES_ARE_FRESH_SECONDS = 601
YES = ElicitResult(action="accept", content={"pay": "Yes, pay $0.05"})
NO = "The person said no to this price. Nothing was paid."
NEITHER = "The person chose neither yes nor no to this price. Nothing was paid."
NOBODY = "The call needs a person's yes, and nobody answered. Nothing was paid."


class Person:
    """Answers every question in the same way; never, if there is no answer."""

    def __init__(self, answer: ElicitResult | ErrorData | None = YES) -> None:
        self.asked: list[ElicitRequestParams] = []
        self._answer = answer

    async def __call__(
        self, context: ClientRequestContext, question: ElicitRequestParams
    ) -> ElicitResult | ErrorData:
        self.asked.append(question)
        if self._answer is None:
            await anyio.sleep_forever()
        assert self._answer is not None
        return self._answer

    @property
    def words(self) -> list[str]:
        """The questions as the person reads them."""
        return [question.message for question in self.asked]

    def asks(self) -> dict[str, "Person"]:
        """A client that brings its questions here."""
        return {"elicitation_callback": self}


@ERA
async def test_a_yes_pays_once_and_the_question_says_the_price_and_what_is_left(era: str) -> None:
    person, limits = Person(), Limits(per_day_cents=12, confirm_over_cents=4)
    async with world(era=era, limits=limits, client=person.asks()) as w:
        assert facts(await w.call(DRAW, FOX))["status"] == "completed"
        assert w.spent_cents == 5
    [question] = person.asked
    assert isinstance(question, ElicitRequestFormParams)
    assert question.message == (
        "This image (Flux 2 Pro: text to image) costs $0.05. Today's budget leaves $0.12 before "
        'it. It shows: "a fox". Draw it?'
    )
    assert question.requested_schema == {
        "type": "object",
        "properties": {
            "pay": {
                "type": "string",
                "title": "Your answer",
                "enum": ["No", "Yes, pay $0.05"],
            }
        },
        "required": ["pay"],
    }


@ERA
@pytest.mark.parametrize("count", [4, "4", " 4 ", 4.0])
async def test_several_are_one_question_with_the_sum(era: str, count: object) -> None:
    person, limits = Person(), Limits(per_day_cents=22, confirm_over_cents=19)
    async with world(era=era, limits=limits, client=person.asks()) as w:
        drawn = facts(await w.call(DRAW, FOX | {"count": count}))
        assert len(drawn["image_urls"]) == 4
        assert w.spent_cents == 20
        assert facts(await w.call(DRAW, FOX | {"count": 4}))["task_ids"] == drawn["task_ids"]
    [question] = person.asked
    assert isinstance(question, ElicitRequestFormParams)
    assert question.message == (
        "These 4 images (Flux 2 Pro: text to image) cost $0.20 together. Today's budget leaves "
        '$0.22 before them. They show: "a fox". Draw them?'
    )
    assert question.requested_schema["properties"]["pay"]["enum"] == ["No", "Yes, pay $0.20 for 4"]


@ERA
async def test_a_no_to_several_pays_for_none(era: str) -> None:
    person = Person(ElicitResult(action="decline"))
    async with world(era=era, limits=OVER_4, client=person.asks()) as w:
        assert said(await w.call(DRAW, FOX | {"count": 8})).startswith(NO)
        assert w.wire.paths("POST") == []


@ERA
async def test_a_yes_to_several_is_no_yes_to_more(era: str) -> None:
    """Nor to as many for more money; and what one yes allows is drawn once."""
    person = Person()
    async with world(era=era, limits=OVER_4, client=person.asks()) as w:
        for count in (2, 3, 2):
            await w.call(DRAW, FOX | {"count": count})
        assert [words[:14] for words in person.words] == ["These 2 images", "These 3 images"]
        assert w.task_count == 5


@ERA
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ElicitResult(action="decline"), NO),
        (ElicitResult(action="decline", content={"pay": "Yes, pay $0.05"}), NO),
        (ElicitResult(action="accept", content={"pay": "No"}), NO),
        (ElicitResult(action="cancel"), NEITHER),
        (ElicitResult(action="cancel", content={"pay": "Yes, pay $0.05"}), NEITHER),
        (ElicitResult(action="accept"), NEITHER),
        (ElicitResult(action="accept", content={}), NEITHER),
        (ElicitResult(action="accept", content={"pay": ""}), NEITHER),
        (ElicitResult(action="accept", content={"pay": True}), NEITHER),
        (ElicitResult(action="accept", content={"pay": 1}), NEITHER),
        (ElicitResult(action="accept", content={"pay": ["Yes, pay $0.05"]}), NEITHER),
    ],
)
async def test_whatever_is_not_a_yes_spends_nothing(
    era: str, answer: ElicitResult, told: str
) -> None:
    person = Person(answer)
    async with world(era=era, limits=OVER_4, client=person.asks()) as w:
        refused = await w.call(DRAW, FOX)
        assert refused.is_error
        assert said(refused).startswith(told)
        assert w.wire.paths("POST") == []
    assert len(person.asked) == 1


@ERA
async def test_the_question_shows_what_is_asked_for_short_and_on_one_line(era: str) -> None:
    person = Person()
    async with world(era=era, limits=OVER_4, client=person.asks()) as w:
        await w.call(DRAW, LARGE_FOX | {"prompt": f"a fox\nDraw it?\u202e {'x' * 400}"})
    [words] = person.words
    assert words.endswith(f'It shows in 2k: "a fox Draw it? {"x" * 284}…". Draw it?')


class Swapping(Person):
    """Says yes, while somebody puts another image where the source was."""

    def __init__(self, source: Path) -> None:
        super().__init__()
        self._source = source

    async def __call__(
        self, context: ClientRequestContext, question: ElicitRequestParams
    ) -> ElicitResult | ErrorData:
        photo(self._source, seed=2)
        return await super().__call__(context, question)


@pytest.mark.parametrize(("era", "questions"), [("auto", 2), ("legacy", 1)])
async def test_a_yes_to_what_has_changed_since_is_no_yes(
    era: str, questions: int, tmp_path: Path
) -> None:
    source = photo(tmp_path / "photos" / "fox.png", seed=1)
    person = Swapping(source)
    async with remixing(tmp_path, era=era, limits=OVER_4, client=person.asks()) as w:
        answer = await w.call(REMIX, asking(source))
        if era == "legacy":
            assert said(answer).startswith("The price or a source image changed while the person")
        assert w.spent_cents == (0 if era == "legacy" else 5)
    assert len(person.asked) == questions


@ERA
async def test_a_client_that_cannot_ask_is_refused_with_the_setting_to_change(era: str) -> None:
    async with world(era=era, limits=OVER_4) as w:
        refused = await w.call(DRAW, FOX)
        assert refused.is_error
        assert said(refused) == (
            "This image (Flux 2 Pro: text to image) costs $0.05. That needs a person's yes, and "
            "this client cannot ask for one. Nothing was paid. Let the user raise or unset "
            "RUNAPI_CONFIRM_OVER."
        )
        assert w.wire.paths("POST") == []


@pytest.mark.parametrize(
    "answer",
    [ErrorData(code=-32600, message="no window"), ElicitResult.model_construct(action="perhaps")],
)
async def test_a_legacy_client_that_fails_to_ask_is_refused(
    answer: ElicitResult | ErrorData,
) -> None:
    person = Person(answer)
    async with world(era="legacy", limits=OVER_4, client=person.asks()) as w:
        refused = await w.call(DRAW, FOX)
        assert refused.is_error
        assert said(refused).startswith(NOBODY)
        assert "RUNAPI_CONFIRM_OVER" in said(refused)
        assert w.wire.paths("POST") == []


async def test_a_modern_client_that_fails_to_ask_ends_its_own_call_and_spends_nothing() -> None:
    person = Person(ErrorData(code=-32600, message="no window"))
    async with world(limits=OVER_4, client=person.asks()) as w:
        with pytest.raises(MCPError, match="no window"):
            await w.call(DRAW, FOX)
        assert w.wire.paths("POST") == []


async def test_a_person_who_never_answers_is_waited_for_as_long_as_the_host_allows() -> None:
    person = Person(None)
    async with world(era="legacy", limits=OVER_4, client=person.asks()) as w:
        refused = await w.call(DRAW, FOX)
        assert anyio.current_time() == pytest.approx(45, abs=0.01)
        assert said(refused).startswith(NOBODY)
        assert w.wire.paths("POST") == []
    assert len(person.asked) == 1


@ERA
async def test_a_caller_who_leaves_the_question_open_spends_nothing(era: str) -> None:
    person = Person(None)
    async with world(era=era, limits=OVER_4, client=person.asks()) as w:
        with anyio.move_on_after(5):
            await w.call(DRAW, FOX)
        await anyio.sleep(60)
        assert w.wire.paths("POST") == []
    assert len(person.asked) == 1


@ERA
@pytest.mark.parametrize("wait_seconds", [0, 1])
async def test_how_long_the_user_waits_for_images_is_not_how_long_a_person_may_think(
    era: str, wait_seconds: int
) -> None:
    class Slow(Person):
        async def __call__(
            self, context: ClientRequestContext, question: ElicitRequestParams
        ) -> ElicitResult | ErrorData:
            await anyio.sleep(10)
            return await super().__call__(context, question)

    client = Slow().asks()
    async with world(era=era, limits=OVER_4, client=client, wait_seconds=wait_seconds) as w:
        assert not (await w.call(DRAW, FOX)).is_error
        assert w.task_count == 1


@ERA
@pytest.mark.parametrize("limits", [Limits(), Limits(confirm_over_cents=5)])
async def test_nobody_is_asked_up_to_the_price_that_is_set(era: str, limits: Limits) -> None:
    person = Person(ElicitResult(action="decline"))
    async with world(era=era, limits=limits, client=person.asks()) as w:
        assert not (await w.call(DRAW, FOX)).is_error
        assert (await w.call(DRAW, LARGE_FOX)).is_error == (limits.confirm_over_cents is not None)
    assert len(person.asked) == (limits.confirm_over_cents is not None)


@ERA
async def test_an_unknown_price_is_asked_about(era: str) -> None:
    person = Person()
    limits = Limits(confirm_over_cents=5000)
    async with world(era=era, limits=limits, client=person.asks()) as w:
        w.sandbox.faults.inject("prices", "500", times=None)
        assert facts(await w.call(DEAR, UNPRICED))["status"] == "completed"
    [words] = person.words
    assert words.startswith("This image (Flux 2 Max: text to image) costs an unknown amount. ")


@ERA
@pytest.mark.parametrize("limits", [Limits(4, None, 4), Limits(None, 4, 4)])
async def test_nobody_is_asked_about_what_a_limit_forbids(era: str, limits: Limits) -> None:
    person = Person()
    async with world(era=era, limits=limits, client=person.asks()) as w:
        assert "Nothing was paid." in said(await w.call(DRAW, FOX))
        assert w.wire.paths("POST") == []
    assert person.asked == []


@ERA
async def test_reading_and_continuing_a_paid_call_ask_nobody(era: str) -> None:
    person = Person()
    async with world(era=era, limits=OVER_4, client=person.asks()) as w:
        made = facts(await w.call(DRAW, FOX | {"wait_seconds": 0}))
        await w.call("check_pricing")
        await w.call("list_tasks")
        assert facts(await w.call(DRAW, FOX))["task_id"] == made["task_id"]
        await w.call("get_task", {"task_id": made["task_id"]})
        assert len(person.asked) == 1
        await w.call(DRAW, FOX | {"redraw": made["task_id"]})
        assert len(person.asked) == 2


async def question(client: Client, arguments: dict[str, str], tool: str = DRAW) -> str:
    """The state of the question that a call of a modern client leads to."""
    asked = await client.session.call_tool(tool, arguments, allow_input_required=True)
    assert isinstance(asked, InputRequiredResult)
    return asked.request_state or ""


async def retried(
    client: Client, arguments: dict[str, str], state: str | None, tool: str = DRAW
) -> CallToolResult | InputRequiredResult:
    """What a modern client gets that comes with a yes and this state."""
    return await client.session.call_tool(
        tool,
        arguments,
        input_responses={"confirm": YES},
        request_state=state,
        allow_input_required=True,
    )


async def test_a_yes_to_one_price_is_no_yes_to_a_higher_one() -> None:
    async with world(limits=OVER_4, client=Person().asks()) as w:
        state = await question(w.client, FOX)
        assert isinstance(await retried(w.client, LARGE_FOX, state), InputRequiredResult)
        assert w.wire.paths("POST") == []


@pytest.mark.parametrize(
    ("agreed", "cents", "pays"),
    [
        (5, 4.5, True),
        (5, 5, True),
        (5, 5.01, False),
        (5, 500, False),
        (5, None, False),
        (None, 500, True),
        (None, None, True),
    ],
)
async def test_a_yes_to_a_price_is_no_yes_to_what_it_rises_to(
    agreed: float | None, cents: float | None, *, pays: bool
) -> None:
    price, paid = agreed, list[httpx.Request]()

    def answer(sent: httpx.Request) -> httpx.Response:
        if "price" in sent.url.path:
            model = f"flux-2-{'max' if price else 'pro'}-text-to-image"
            row = {"model": model, "unit_price_cents": price or 5}
            return httpx.Response(200, json={"price_schedules": [row]})
        paid.append(sent)
        return httpx.Response(402)

    async with client_of(answer, OVER_4, client=Person().asks()) as client:
        state = await question(client, UNPRICED, DEAR)
        price = cents
        await anyio.sleep(PRICES_ARE_FRESH_SECONDS)
        again = await retried(client, UNPRICED, state, DEAR)
    assert isinstance(again, InputRequiredResult) != pays
    assert bool(paid) == pays


async def test_a_yes_to_one_call_is_no_yes_to_another() -> None:
    async with world(limits=OVER_4, client=Person().asks()) as w:
        state = await question(w.client, FOX)
        assert isinstance(await retried(w.client, {"prompt": "an owl"}, state), InputRequiredResult)
        assert w.wire.paths("POST") == []


async def test_one_yes_pays_for_one_image() -> None:
    async with world(limits=OVER_4, client=Person().asks()) as w:
        state = await question(w.client, FOX)
        first = await retried(w.client, FOX, state)
        again = await retried(w.client, FOX, state)
        assert isinstance(first, CallToolResult)
        assert isinstance(again, CallToolResult)
        assert facts(again)["task_id"] == facts(first)["task_id"]
        # The second is told that it is the first one's image.
        assert ["joined" in facts(each) for each in (first, again)] == [False, True]
        anew = FOX | {"redraw": facts(first)["task_id"]}
        assert isinstance(await retried(w.client, anew, state), InputRequiredResult)
        assert w.task_count == 1


@pytest.mark.parametrize(
    "state",
    [None, "", "no number", "5", "5.0", "1e9", "inf", "nan", "-nan", "unknown", "\U0001d7d7"],
)
async def test_a_yes_to_a_question_that_was_never_put_pays_nothing(state: str | None) -> None:
    async with world(limits=OVER_4, client=Person().asks()) as w:
        result = await retried(w.client, FOX, state)
        assert isinstance(result, InputRequiredResult) or result.is_error
        assert w.wire.paths("POST") == []
