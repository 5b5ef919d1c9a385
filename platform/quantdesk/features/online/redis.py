"""An online store in Redis. An edge module: it talks to that server.

Of each view there are three hashes: its rows by key, its state, and its marks by partition. A row's value begins with
its (era, event, created), 8 bytes each, written so that comparing the bytes compares the numbers; a voided row has
nothing after them. Rows are compared and written by scripts, which Redis runs one at a time.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from quantdesk.errors import EnvironmentProblem
from quantdesk.features.online.address import Address
from quantdesk.features.online.backend import Answer, Mark, State, Writer
from quantdesk.features.online.rows import TAG, Found, Rows, Schema

__all__ = ["RedisBackend"]

_PREFIX = "quantdesk:online:"
_TIMES = struct.Struct(">QQQ")
_OFFSET = 1 << 63
_AT_ONCE = 500
_PATIENCE = 10.0

# Lua's numbers are floats, which do not hold nanoseconds: times are compared as six 32-bit numbers.
_COMMON = """
local function later(a, b, parts)
  local x, y = {struct.unpack(string.rep('>I4', parts), a)}, {struct.unpack(string.rep('>I4', parts), b)}
  for i = 1, parts do
    if x[i] ~= y[i] then return x[i] > y[i] end
  end
  return false
end
local function era_bytes(number) return struct.pack('>I4I4', 2147483648, number) end
"""
_PUT = (
    _COMMON
    + """
local era = ARGV[1] ~= '' and ARGV[1] or era_bytes(tonumber(redis.call('HGET', KEYS[2], 'era') or '0'))
local as_of, written = ARGV[2], 0
for i = 3, #ARGV, 2 do
  local new, old = era .. ARGV[i + 1], redis.call('HGET', KEYS[1], ARGV[i])
  local put = not old or not later(string.sub(old, 1, 24), string.sub(new, 1, 24), 6)
  if not put and #old == 24 then
    put = not later(string.sub(old, 1, 8), era, 2) and later(as_of, string.sub(old, 17, 24), 2)
  end
  if put then
    redis.call('HSET', KEYS[1], ARGV[i], new)
    written = written + 1
  end
end
return written
"""
)
_VOID = (
    _COMMON
    + """
local era, as_of, newest, voided = ARGV[1], ARGV[2], ARGV[3], 0
for i = 4, #ARGV do
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  if old and #old > 24 and not later(string.sub(old, 9, 16), newest, 2)
      and not later(string.sub(old, 1, 8), era, 2) then
    local created = string.sub(old, 17, 24)
    if later(as_of, created, 2) then created = as_of end
    redis.call('HSET', KEYS[1], ARGV[i], era .. string.sub(old, 9, 16) .. created)
    voided = voided + 1
  end
end
return voided
"""
)
_BEGIN = """
local era = redis.call('HGET', KEYS[1], 'era')
if era and redis.call('HGET', KEYS[1], 'definitions') == ARGV[1] and ARGV[2] == '' then return tonumber(era) end
era = tonumber(era or '0') + 1
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'era', era, 'definitions', ARGV[1], 'build', '')
redis.call('SADD', KEYS[3], ARGV[3])
return era
"""
_MARK = """
if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'era') ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
"""
_FINISH = """
if redis.call('HGET', KEYS[1], 'era') ~= ARGV[1] then return 0 end
local until_ = redis.call('HGET', KEYS[1], 'until')
if until_ and later(until_, ARGV[2], 2) then return 0 end
redis.call('HSET', KEYS[1], 'until', ARGV[2], 'build', ARGV[3])
return 1
"""


class RedisBackend:
    """See :class:`~quantdesk.features.online.backend.Backend` and :class:`~quantdesk.features.online.backend.Writer`.

    Parameters
    ----------
    address
        Where the server is.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._mutex = threading.Lock()
        self._client: Any = None
        self._scripts: dict[str, Any] = {}
        self._schemas: dict[bytes, Schema] = {}

    def __repr__(self) -> str:
        return f"RedisBackend({self.address.shown!r})"

    def read(self, asked: Sequence[tuple[str, Sequence[bytes]]]) -> Answer:
        """Rows of several views in one go."""
        with self._explained():
            pipe = self._redis().pipeline(transaction=False)
            wanted = [(view, keys) for view, keys in asked if keys]
            for view, keys in wanted:
                pipe.hmget(f"{_PREFIX}{view}:rows", list(keys))
            for view, _ in asked:
                pipe.hgetall(f"{_PREFIX}{view}:state")
            given = pipe.execute()
            rows = {view: [_found(raw) for raw in one] for (view, _), one in zip(wanted, given, strict=False)}
            told = dict(zip([view for view, _ in asked], given[len(wanted) :], strict=True))
            tags = {row[2][:TAG] for one in rows.values() for row in one if row is not None}
            self._learn(tags)
        states = {view: _state(one) for view, one in told.items() if one}
        return Answer([rows.get(view, []) for view, _ in asked], self._schemas, states)

    def states(self) -> Mapping[str, State]:
        """Of every view that was ever begun."""
        with self._explained():
            views = sorted(self._redis().smembers(f"{_PREFIX}views"))
            pipe = self._redis().pipeline(transaction=False)
            for view in views:
                pipe.hgetall(f"{_PREFIX}{view.decode()}:state")
            return {view.decode(): _state(one) for view, one in zip(views, pipe.execute(), strict=True) if one}

    def marks(self, view: str) -> Mapping[str, Mark]:
        """By partition."""
        with self._explained():
            found = self._redis().hgetall(f"{_PREFIX}{view}:marks")
        return {name.decode(): Mark.from_json(mark) for name, mark in found.items()}

    def keys(self, view: str) -> Sequence[bytes]:
        """The keys of a view that answer."""
        with self._explained():
            return [
                key
                for key, raw in self._redis().hscan_iter(f"{_PREFIX}{view}:rows", count=1000)
                if len(raw) > _TIMES.size
            ]

    @contextlib.contextmanager
    def session(self) -> Iterator[Writer]:
        """Write; each write is there for all at once."""
        yield self

    def close(self) -> None:
        """Let go of the connections."""
        with self._mutex:
            if self._client is not None:
                self._client.close()
                self._client, self._scripts = None, {}

    def checkpoint(self) -> None:
        """Nothing is held back."""

    def begin(self, view: str, definitions: str, *, afresh: bool = False) -> int:
        """The era in which to write by these definitions."""
        keys = [f"{_PREFIX}{view}:state", f"{_PREFIX}{view}:marks", f"{_PREFIX}views"]
        return int(self._run(_BEGIN, keys, [definitions, "afresh" if afresh else "", view]))

    def put(
        self,
        view: str,
        schema: Schema,
        rows: Rows,
        *,
        as_of: int,
        era: int | None = None,
        marks: Mapping[str, Mark] | None = None,
    ) -> int:
        """Write rows, but none over a later one; then the marks."""
        rows = rows.latest()
        with self._explained():
            self._redis().hset(f"{_PREFIX}schemas", schema.tag, schema.to_json())
        head = [b"" if era is None else _number(era), _number(as_of)]
        event, created = rows.event.tolist(), rows.created.tolist()
        keys = [f"{_PREFIX}{view}:rows", f"{_PREFIX}{view}:state"]
        written = 0
        for start in range(0, len(rows), _AT_ONCE):
            lines = [
                part
                for n in range(start, min(start + _AT_ONCE, len(rows)))
                for part in (rows.keys[n], _number(event[n]) + _number(created[n]) + rows.packed[n])
            ]
            written += int(self._run(_PUT, keys, [*head, *lines]))
        if marks:
            told = [part for name, mark in marks.items() for part in (name, mark.to_json())]
            self._run(_MARK, [f"{_PREFIX}{view}:state", f"{_PREFIX}{view}:marks"], ["" if era is None else era, *told])
        return written

    def void(self, view: str, keys: Sequence[bytes], *, as_of: int, era: int, newest: int) -> int:
        """Void keys whose event is not after `newest`."""
        head = [_number(era), _number(as_of), _number(newest)]
        some = [keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE)]
        return sum(int(self._run(_VOID, [f"{_PREFIX}{view}:rows"], [*head, *one])) for one in some)

    def unmark(self, view: str, partitions: Sequence[str]) -> None:
        """Forget marks."""
        if partitions:
            with self._explained():
                self._redis().hdel(f"{_PREFIX}{view}:marks", *partitions)

    def finish(self, view: str, *, era: int, until: int, build: str) -> None:
        """Note that the view is filled."""
        self._run(_COMMON + _FINISH, [f"{_PREFIX}{view}:state"], [era, _number(until), build])

    def drop(self, view: str) -> None:
        """Remove all that is known of a view."""
        with self._explained():
            self._redis().delete(*(f"{_PREFIX}{view}:{what}" for what in ("rows", "state", "marks")))
            self._redis().srem(f"{_PREFIX}views", view)

    def _redis(self) -> Any:
        # The client keeps a pool of connections, which is safe between threads and starts anew after a fork.
        with self._mutex:
            if self._client is None:
                import redis
                from redis.backoff import ExponentialBackoff
                from redis.retry import Retry

                # Every write may be repeated: once it is done, it is not older than what is there.
                self._client = redis.Redis.from_url(
                    self.address.url,
                    socket_timeout=_PATIENCE,
                    socket_connect_timeout=_PATIENCE,
                    retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
                )
            return self._client

    def _run(self, script: str, keys: Sequence[str], values: Sequence[Any]) -> Any:
        with self._explained():
            client = self._redis()
            if script not in self._scripts:
                self._scripts[script] = client.register_script(script)
            return self._scripts[script](keys=list(keys), args=list(values))

    def _learn(self, tags: set[bytes]) -> None:
        for tag in tags - self._schemas.keys():
            text = self._redis().hget(f"{_PREFIX}schemas", tag)
            if text is not None:
                self._schemas[tag] = Schema.from_json(text)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        import redis

        try:
            yield
        except redis.RedisError as error:
            raise EnvironmentProblem(
                f"The online store at {self.address.shown} does not answer ({self.address.clean(error)}).",
                "Check that Redis runs there and that QUANTDESK_ONLINE_URL names its host, port, user and password.",
            ) from None


def _number(value: int) -> bytes:
    """Eight bytes that compare as the number does."""
    return struct.pack(">Q", value + _OFFSET)


def _found(raw: bytes | None) -> Found | None:
    if raw is None or len(raw) == _TIMES.size:
        return None
    _, event, created = _TIMES.unpack_from(raw)
    return event - _OFFSET, created - _OFFSET, raw[_TIMES.size :]


def _state(given: Mapping[bytes, bytes]) -> State:
    until = given.get(b"until")
    return State(
        int(given[b"era"]),
        given[b"definitions"].decode(),
        None if until is None else struct.unpack(">Q", until)[0] - _OFFSET,
        given.get(b"build", b"").decode(),
    )
