"""The same request again gets the same answer: idempotency keys. An edge module: the database.

A key is a user's own. The first request with it is carried out; while it is, another is told to wait; afterwards the
same request is answered with what the first one got, and another request under the key is refused. What failed on our
side is forgotten, so that it can be tried again. A worker that dies in the middle leaves its turn open for a while;
then the next request takes it, which is why what is carried out should itself know its key.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import anyio.to_thread
from fastapi import Header, Request
from sqlalchemy import delete, insert, select, update
from starlette.responses import JSONResponse, Response

from quantdesk.hub.app.access import User
from quantdesk.hub.app.database import REPLAYS, SECOND
from quantdesk.hub.app.problems import Refusal
from quantdesk.records import Database

__all__ = ["IdempotencyKey", "Replays", "Turn", "once"]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=100,
        pattern=r"^[!-~]+$",
        description="A text of your own, new for each thing that you want done. The same request under the same key is "
        "carried out once, and gets the same answer again for a day.",
    ),
]
_KEY = re.compile(r"[!-~]{1,100}")
_TURN_S = 120
_KEPT_S = 86_400
_SENT = ("location", "retry-after")


@dataclass(frozen=True)
class Turn:
    """The right to carry out a request.

    Attributes
    ----------
    number
        With which it is ended; empty where there is no key.
    at
        When the request first came (UTC): the same for whoever takes the turn over.
    mark
        32 hexadecimal digits that stand for user, key and request: what is made has its name from them, so that it is
        not made twice. Random where there is no key.
    """

    number: str
    at: datetime
    mark: str


class Replays:
    """What was answered under each key.

    Parameters
    ----------
    database
        With the service's tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, user: str, key: str, asked: str) -> Turn | tuple[int, dict[str, str], str]:
        """Take the turn of a key.

        Returns
        -------
        Turn or tuple
            The turn; or the status, headers and body of the answer there is.

        Raises
        ------
        Refusal
            409: the request is being carried out; 422: the key belongs to another one.
        """
        with self._database.writing() as connection:
            now = self._database.now(connection)
            mine = (REPLAYS.c.user_name == user) & (REPLAYS.c.key == key)
            found = connection.execute(select(REPLAYS).where(mine)).one_or_none()
            turn, first = uuid.uuid4().hex, now
            if found is not None and found.begun > now - _KEPT_S * SECOND:
                if found.asked != asked:
                    raise Refusal(422, "key_reused", f"The idempotency key {key!r} belongs to another request.",
                                  "Take a new key for a new request.")  # fmt: skip
                if found.status is not None:
                    return int(found.status), json.loads(found.headers), str(found.body)
                if found.begun > now - _TURN_S * SECOND:
                    raise Refusal(409, "in_progress", "A request with this idempotency key is being carried out.",
                                  "Send it again in a moment.", headers={"Retry-After": "1"})  # fmt: skip
                first = int(found.first)  # its worker died
            if found is not None:
                connection.execute(delete(REPLAYS).where(mine))
            row = {"user_name": user, "key": key, "asked": asked, "first": first, "begun": now, "turn": turn}
            connection.execute(insert(REPLAYS).values(row))
            mark = hashlib.sha256(json.dumps([user, key, asked, first]).encode()).hexdigest()[:32]
            return Turn(turn, datetime.fromtimestamp(first / SECOND, UTC), mark)

    def end(self, user: str, key: str, turn: Turn, answer: tuple[int, dict[str, str], str] | None) -> None:
        """Keep the answer of a turn, or give the turn back."""
        mine = (REPLAYS.c.user_name == user) & (REPLAYS.c.key == key) & (REPLAYS.c.turn == turn.number)
        with self._database.writing() as connection:
            if answer is None:
                connection.execute(delete(REPLAYS).where(mine))
                return
            status, headers, body = answer
            connection.execute(
                update(REPLAYS).where(mine).values(status=status, headers=json.dumps(headers), body=body)
            )

    def forget(self) -> int:
        """Delete what is older than a day; how many that were."""
        with self._database.writing() as connection:
            old = REPLAYS.c.begun < self._database.now(connection) - _KEPT_S * SECOND
            return int(connection.execute(delete(REPLAYS).where(old)).rowcount)


async def once(request: Request, user: User, key: str | None, work: Callable[[Turn], Awaitable[Response]]) -> Response:
    """Carry out a request, or answer with what it got before; without a key it is simply carried out.

    Parameters
    ----------
    request
        Its method, path and body are what the key stands for.
    user
        Whose key it is.
    key
        See :data:`IdempotencyKey`.
    work
        Carries it out.
    """
    if key is None:
        return await work(Turn("", datetime.now(UTC), secrets.token_hex(16)))
    if not _KEY.fullmatch(key):
        raise Refusal(422, "bad_key", "The idempotency key cannot be used.", "Give 1 to 100 printable characters.")
    replays: Replays = request.app.state.replays
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    asked = hashlib.sha256(f"{request.method} {path}\n".encode() + await request.body()).hexdigest()
    found = await anyio.to_thread.run_sync(replays.begin, user.name, key, asked)
    if not isinstance(found, Turn):
        status, headers, body = found
        again = headers | {"Idempotency-Replayed": "true"}
        return Response(body, status, again, media_type=again.pop("content-type", "application/json"))
    kept: tuple[int, dict[str, str], str] | None = None
    try:
        response = await work(found)
        if response.status_code < 500:
            kept = (response.status_code, _headers(response), bytes(response.body).decode())
        return response
    except Refusal as refusal:
        if refusal.status in (404, 422):  # it will never be otherwise
            kept = _refused(refusal)
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(replays.end, user.name, key, found, kept)


def _headers(response: Response) -> dict[str, str]:
    kept = {name: response.headers[name] for name in _SENT if name in response.headers}
    return kept | {"content-type": response.headers.get("content-type", "application/json")}


def _refused(refusal: Refusal) -> tuple[int, dict[str, str], str] | None:
    from quantdesk.hub.app.problems import MEDIA, told

    content: Any = told(refusal, "")
    return refusal.status, {"content-type": MEDIA}, bytes(JSONResponse(content).body).decode()
