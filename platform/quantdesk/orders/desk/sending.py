"""Sending children, when what lies between can fail. An edge module: it talks to a gateway.

The intent to send is in the ledger before anything leaves. What comes back is one of three: reports; the proof that
nothing arrived; or neither, and then the child stays unknown until the gateway can be asked by its client id. A child
is never sent a second time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from quantdesk.orders.executions import Execution, ExecutionMode, Gateway, GatewayDown, Kind
from quantdesk.orders.order import Child

__all__ = ["ask", "send", "unsent", "withdraw"]

NEVER_ARRIVED = "it never arrived: the connection failed before it was sent"
NOT_KNOWN = "it never arrived: the venue does not know it"
ENDED = "the simulated exchange on which it rested has ended"


def send(gateway: Gateway, child: Child) -> Sequence[Execution]:
    """Send a child; what is known of it afterwards, nothing where nobody knows whether it arrived."""
    try:
        return gateway.send(child)
    except GatewayDown as down:
        if not down.sent:
            return [_unsent(child, gateway.now(), NEVER_ARRIVED)]
    return ask(gateway, child)


def ask(gateway: Gateway, child: Child, *, heard: bool = False) -> Sequence[Execution]:
    """All that the gateway says of a child; the proof that it never arrived; nothing where it cannot be asked.

    Parameters
    ----------
    gateway
        Who is asked.
    child
        About what.
    heard
        Whether it was heard of before. Then it did arrive: a simulated exchange that does not know it is another one,
        and it ended with the first; of a broker that forgot it, nothing is believed.
    """
    try:
        found = gateway.executions(child.client_id)
    except GatewayDown:
        return []
    if found is not None:
        return found
    if not heard:
        return [_unsent(child, gateway.now(), NOT_KNOWN)]
    if gateway.mode is not ExecutionMode.SIMULATED:
        return []
    name = f"{child.client_id}:ended"
    return [Execution(name, child.client_id, Kind.CANCELLED, gateway.now(), child.venue, text=ENDED)]


def unsent(child: Child) -> str:
    """The id of the report that a child never arrived."""
    return f"{child.client_id}:unsent"


def withdraw(gateway: Gateway, child: Child) -> Sequence[Execution]:
    """Cancel what is left of a child; all that is known of it afterwards.

    What the cancel itself answers is not enough: a fill that nobody had asked about yet may have come before it.
    """
    with contextlib.suppress(GatewayDown):
        gateway.cancel(child.client_id)
    return ask(gateway, child, heard=True)


def _unsent(child: Child, at: int, why: str) -> Execution:
    return Execution(unsent(child), child.client_id, Kind.REJECTED, at, child.venue, text=why)
