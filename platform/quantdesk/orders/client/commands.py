"""What the command line asks of orders. An edge module: it opens the desk, or asks a remote router."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.orders.amounts import dollars, moment
from quantdesk.orders.client.client import SorClient, get_sor_client
from quantdesk.orders.client.config import SorConfig
from quantdesk.orders.desk import EmbeddedConfig, open_desk
from quantdesk.orders.ledger import Ledger, rebuild
from quantdesk.orders.order import Order
from quantdesk.orders.portfolio import Portfolio

__all__ = ["orders_of", "positions", "route", "told"]


def route(order: Order, *, on: dt.date | None = None, seed: int | None = None) -> dict[str, Any]:
    """Execute an order where the settings say: at a remote router, at a broker, or on simulated exchanges.

    Parameters
    ----------
    order
        What to trade.
    on, seed
        Of simulated exchanges; as the settings say when None.

    Returns
    -------
    dict
        See :class:`~quantdesk.orders.result.OrderResult`.

    Raises
    ------
    BadInput
        A day or a seed, where the settings name a broker: nothing would be simulated.
    """
    chosen: dict[str, Any] = {name: value for name, value in (("on", on), ("seed", seed)) if value is not None}
    if SorConfig.from_env().url is not None and not chosen:
        return get_sor_client().execute(order).to_dict()
    config = EmbeddedConfig(**chosen)
    if chosen and config.gateway != "simulated":
        given = ", ".join(f"{name} {value}" for name, value in chosen.items())
        raise BadInput(
            f"The order has the {given} of simulated exchanges, and would go to {config.gateway}.",
            "Leave it out, or set QUANTDESK_DESK_GATEWAY to simulated.",
        )
    with open_desk([order.symbol], config) as desk:
        return SorClient(desk=desk).execute(order).to_dict()


def told(order_id: str) -> list[dict[str, Any]]:
    """Everything that the ledger holds of an order, in its order."""
    with _ledger() as ledger:
        ledger.order(order_id)  # names it, where there is none
        return [
            {
                "seq": one.seq,
                "at": moment(one.at),
                "kind": str(one.kind),
                "client_id": one.client_id,
                "says": one.payload,
            }
            for one in ledger.entries(order_id=order_id)
        ]


def orders_of(*, open_only: bool = False) -> dict[str, Order]:
    """The orders of the ledger by their ids."""
    with _ledger() as ledger:
        return dict(ledger.orders(open_only))


def positions() -> list[Mapping[str, Any]]:
    """The positions of each account in the ledger, rebuilt from its first entry; dollars."""
    with _ledger() as ledger:
        ledger.verify()
        entries = list(ledger.entries())
    modes = sorted({one.mode for one in entries if one.mode is not None})
    accounts: dict[str, Portfolio] = {str(mode): rebuild(entries, 0, mode) for mode in modes}
    return [
        {
            "mode": mode,
            "symbol": symbol,
            "shares": held.shares,
            "cost": dollars(held.cost),
            "mark": dollars(held.mark),
            "value": dollars(held.value),
            "realized": dollars(held.realized),
            "fees": dollars(held.fees),
        }
        for mode, account in accounts.items()
        for symbol, held in account
    ]


@contextmanager
def _ledger() -> Iterator[Ledger]:
    with Ledger.open(EmbeddedConfig.from_env().ledger) as ledger:
        yield ledger
