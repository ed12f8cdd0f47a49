"""The way to the sessions of the 2025 protocol: to one's own, with one request of an id at once."""

from contextlib import ExitStack

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.transports.callers import HttpCaller, caller_of
from runapi_mcp.transports.http_bodies import read_body, replay, request_id_in
from runapi_mcp.transports.http_requests import is_stream, refusal, stands_for_itself
from runapi_mcp.transports.sessions import Session, Sessions


class SessionGate:
    """Notes which sessions the app opens, uses and ends. Modern requests pass: they have none."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Raises:
            NoneLeft: there are as many sessions as there may be.
        """
        if stands_for_itself(scope):
            await self._app(scope, receive, send)
            return
        caller, session_id = caller_of(scope), Headers(scope=scope).get("mcp-session-id")
        if session_id is None:
            await self._open_session(scope, receive, send, caller)
            return
        session = self._sessions.find(session_id, caller)
        if session is None:
            await refusal(404, "Session not found")(scope, receive, send)
            return
        request_id = None
        if scope["method"] == "POST":
            body = await read_body(scope, receive)
            request_id, receive = request_id_in(body), replay(body, receive)
        await self._serve(scope, receive, send, session, request_id)

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        session: Session,
        request_id: str | int | None,
    ) -> None:
        if str(request_id) in session.request_ids:
            # The SDK would take the answer from the first, which would wait for ever.
            repeated = refusal(400, "A request with this id is still in hand", request_id)
            await repeated(scope, receive, send)
            return
        with ExitStack() as held:
            if request_id is not None:
                session.request_ids.add(str(request_id))
                held.callback(session.request_ids.discard, str(request_id))
            # Who only listens without a key may be ended for others.
            if session.caller.has_key or not is_stream(scope):
                held.enter_context(self._sessions.use(session))
            await self._use_session(scope, receive, send, session)

    async def _open_session(
        self, scope: Scope, receive: Receive, send: Send, caller: HttpCaller
    ) -> None:
        session = await self._sessions.reserve(caller)

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                session_id = Headers(raw=message["headers"]).get("mcp-session-id")
                if session_id:
                    self._sessions.open(session, session_id)
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            if not session.id:
                self._sessions.forget(session)

    async def _use_session(
        self, scope: Scope, receive: Receive, send: Send, session: Session
    ) -> None:
        ended = (200, 404) if scope["method"] == "DELETE" else (404,)

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in ended:
                self._sessions.forget(session)
            await send(message)

        await self._app(scope, receive, note)
