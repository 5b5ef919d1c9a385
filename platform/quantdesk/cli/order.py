"""``quantdesk order``: send an order through guardrails, halts and the router; look at what the ledger holds."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import typer

from quantdesk.cli.terminal import Json, emit, out, table
from quantdesk.errors import BadDates

__all__ = ["app"]

app = typer.Typer(help="Orders: route, show, list, positions.", no_args_is_help=True)

MARKS = {"filled": "●", "partially_filled": "◐", "open": "○", "pending_unknown": "?"}
STYLES = {"filled": "green", "partially_filled": "yellow", "open": "cyan", "pending_unknown": "bold yellow"}
Price = Annotated[str | None, typer.Option(help="Dollars.", show_default=False)]


@app.command()
def route(
    symbol: Annotated[str, typer.Argument(help="For example AAPL.")],
    action: Annotated[str, typer.Argument(help="buy, sell or sell_short.")],
    shares: Annotated[int, typer.Argument(help="A whole number.")],
    order_type: Annotated[
        str, typer.Option("--type", help="market, limit, stop, stop_limit, midpoint_peg or ioc.")
    ] = "market",
    limit_price: Price = None,
    stop_price: Price = None,
    stop_loss_price: Annotated[
        str | None, typer.Option(help="Dollars: a protective stop for each fill.", show_default=False)
    ] = None,
    time_in_force: Annotated[str, typer.Option(help="day, ioc, opening or closing.")] = "day",
    urgency: Annotated[str, typer.Option(help="low, normal or high.")] = "normal",
    user: Annotated[str | None, typer.Option(help="Who sends it.", show_default=False)] = None,
    key: Annotated[
        str | None, typer.Option(help="An idempotency key: the same order is executed once.", show_default=False)
    ] = None,
    on: Annotated[
        str | None, typer.Option(help="Day of the simulated exchanges, YYYY-MM-DD.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the simulated exchanges.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Execute an order: where QUANTDESK_SOR_URL or QUANTDESK_DESK_GATEWAY say, else on simulated exchanges."""
    from quantdesk.orders import Order
    from quantdesk.orders.client import commands

    given = {
        "symbol": symbol,
        "action": action,
        "shares": shares,
        "order_type": order_type,
        "limit_price": limit_price,
        "stop_price": stop_price,
        "time_in_force": time_in_force,
        "stop_loss_price": stop_loss_price,
        "urgency": urgency,
        "user_id": user,
        "idempotency_key": key,
    }
    result = commands.route(Order.from_dict(given), on=None if on is None else _day(on), seed=seed)
    if as_json:
        emit(result)
    else:
        _show(result)
    if result["status"] == "rejected":
        raise typer.Exit(6)


@app.command()
def show(order_id: Annotated[str, typer.Argument(help="For example O00000001.")], as_json: Json = False) -> None:
    """Show everything that the ledger holds of an order."""
    from quantdesk.orders.client.commands import told

    found = told(order_id)
    if as_json:
        emit(found)
        return
    rows = [(one["seq"], f"{one['at']:%Y-%m-%d %H:%M:%S.%f}", one["kind"], one["client_id"]) for one in found]
    table(f"{order_id}: {len(rows)} entries", ("entry", "at (UTC)", "kind", "child"), rows, numeric=["entry"])


@app.command("list")
def list_(
    only_open: Annotated[bool, typer.Option("--open", help="Only orders to which more can happen.")] = False,
    as_json: Json = False,
) -> None:
    """List the orders of the ledger."""
    from quantdesk.orders.client.commands import orders_of

    found = orders_of(open_only=only_open)
    if as_json:
        emit([{"order_id": order_id, **order.to_dict()} for order_id, order in found.items()])
        return
    columns = ("order", "symbol", "action", "shares", "type", "limit", "user")
    rows = [
        (name, one.symbol, one.action, f"{one.shares:,}", one.order_type, one.limit_price or "", one.user_id or "")
        for name, one in found.items()
    ]
    table(f"{len(rows)} orders", columns, rows, numeric=["shares", "limit"])


@app.command()
def positions(as_json: Json = False) -> None:
    """Rebuild the accounts from the ledger, once its chain of hashes is verified."""
    from quantdesk.orders.client import commands

    found = commands.positions()
    if as_json:
        emit(found)
        return
    columns = ("account", "symbol", "shares", "cost $", "mark $", "value $", "realized $", "fees $")
    rows = [
        (one["mode"], one["symbol"], f"{one['shares']:,}", *(f"{one[name]:,.2f}" for name in _MONEY)) for one in found
    ]
    table(f"{len(rows)} positions", columns, rows, numeric=columns[2:])


_MONEY = ("cost", "mark", "value", "realized", "fees")


def _show(result: dict[str, Any]) -> None:
    """A result as people read it: what happened first, then why, then what was objected to."""
    status, mode = result["status"], result["execution_mode"]
    out.print(f"{MARKS.get(status, '✗')} [{STYLES.get(status, 'bold red')}]{status.replace('_', ' ')}[/]", end="  ")
    what = f"{result['action'].replace('_', ' ')} {result['symbol']}"
    out.print(f"{what}: {result['filled_shares']:,} of {result['shares']:,} shares", markup=False, end="")
    out.print(f" at ${float(result['average_price']):,.4f}" if result["average_price"] else "", markup=False)
    costs = [f"commission ${float(result['commission']):,.4f}"]
    if result["slippage_bps"] is not None:
        costs.append(f"{result['slippage_bps']:+.2f} bps against the midpoint at arrival")
        costs.append(f"{result['slippage_nbbo_bps']:+.2f} bps against the NBBO")
    costs += [f"{result['execution_time_ms']:.3f} ms", f"decided in {result['routing_time_us']:,.0f} µs"]
    out.print(f"  {result['order_id']} · {mode.upper()} · {' · '.join(costs)}", style="dim", markup=False)
    if result["label"]:
        out.print(f"  {result['label']}", style="dim", markup=False)
    if result["reasoning"]:
        out.print(f"  {result['reasoning']}", markup=False)
    if result["children"]:
        rows = [
            (
                child["client_id"],
                child["venue"],
                f"{child['filled_shares']:,} / {child['shares']:,}",
                "" if child["average_price"] is None else f"{float(child['average_price']):,.4f}",
                f"{float(child['commission']):,.4f}",
                f"{result['venue_scores'].get(child['venue'], float('nan')):.2f}",
                child["status"],
            )
            for child in result["children"]
        ]
        columns = ("child", "venue", "filled", "price $", "fee $", "score", "status")
        table("", columns, rows, numeric=columns[2:6])
    for one in result["violations"]:
        style = "bold red" if one["severity"] == "blocking" else "yellow"
        out.print(f"  [{style}]{'✗' if one['severity'] == 'blocking' else '!'} {one['code']}[/] ", end="")
        out.print(f"{one['message']} ({one['clause']})", markup=False)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise BadDates(f"{text!r} is no day.", "Give one as YYYY-MM-DD.") from None
