"""What was sent lately: for duplicate orders and the message rate. Pure: times come in as arguments.

The memory is bounded: per user the last :data:`MESSAGES` messages of the last :data:`HORIZON`, and the users that
sent last. The bounds of the policy's limits are no wider, so that nothing that a check asks for has been forgotten.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from quantdesk.orders.amounts import SECOND
from quantdesk.orders.order import Order

__all__ = ["HORIZON", "MESSAGES", "USERS", "Recent"]

HORIZON = 3600 * SECOND
"""Nanoseconds after which a message is forgotten."""
MESSAGES = 10_000
"""Messages of a user that are remembered."""
USERS = 1_000
"""Users that are remembered: with more, the one that has been silent for longest is forgotten."""

Same = tuple[str, str, int, str, int, int, str]


class _Sent:
    """What one user sent."""

    __slots__ = ("orders", "times")

    def __init__(self) -> None:
        self.times: deque[int] = deque(maxlen=MESSAGES)
        self.orders: OrderedDict[Same, int] = OrderedDict()


class Recent:
    """The messages of the last hour. It is kept by whoever sends: :meth:`note` each order once it has passed.

    A clock that goes backwards counts as one that stands still, so that no message drops out early.
    """

    __slots__ = ("_users",)

    def __init__(self) -> None:
        self._users: OrderedDict[str | None, _Sent] = OrderedDict()

    def note(self, order: Order, at: int) -> None:
        """An order was sent at nanoseconds since 1970 (UTC)."""
        sent, at = self._message(order.user_id, at)
        key = _same(order)
        sent.orders[key] = at
        sent.orders.move_to_end(key)
        while len(sent.orders) > MESSAGES or next(iter(sent.orders.values())) < at - HORIZON:
            sent.orders.popitem(last=False)

    def note_message(self, user_id: str | None, at: int) -> None:
        """Another message was sent, such as a cancel or a replace: it counts for the rate."""
        self._message(user_id, at)

    def since_same(self, order: Order, at: int) -> int | None:
        """Nanoseconds since the same user sent an equal order; None where it did not within the hour.

        Equal are symbol, action, shares, order type, limit, stop and time in force.
        """
        sent = self._users.get(order.user_id)
        last = None if sent is None else sent.orders.get(_same(order))
        return None if last is None or at - last > HORIZON else max(at - last, 0)

    def has_sent(self, user_id: str | None, messages: int, after: int) -> bool:
        """Whether a user sent at least so many messages after a moment."""
        if messages <= 0:
            return True
        sent = self._users.get(user_id)
        return sent is not None and len(sent.times) >= messages and sent.times[-messages] > after

    def count(self, user_id: str | None, after: int) -> int:
        """How many messages a user sent after a moment."""
        sent = self._users.get(user_id)
        return 0 if sent is None else sum(time > after for time in sent.times)

    def _message(self, user_id: str | None, at: int) -> tuple[_Sent, int]:
        sent = self._users.get(user_id)
        if sent is None:
            sent = self._users[user_id] = _Sent()
            if len(self._users) > USERS:
                self._users.popitem(last=False)
        else:
            self._users.move_to_end(user_id)
        times = sent.times
        if times:
            at = max(at, times[-1])
            while times and times[0] < at - HORIZON:
                times.popleft()
        times.append(at)
        return sent, at


def _same(order: Order) -> Same:
    return (
        order.symbol,
        order.action,
        order.shares,
        order.order_type,
        order.limit,
        order.stop,
        order.time_in_force,
    )
