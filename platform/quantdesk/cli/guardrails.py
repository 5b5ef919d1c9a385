"""``quantdesk guardrails``: what a policy says of an order (6 if it blocks it), and what a policy holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantdesk.cli.features_watch import FAILED
from quantdesk.cli.terminal import Json, emit, out, table
from quantdesk.errors import BadDates, BadInput

if TYPE_CHECKING:
    from quantdesk.orders.guardrails import Explained, Guardrails
    from quantdesk.orders.halts.status import HaltStatus
    from quantdesk.orders.portfolio import Portfolio
    from quantdesk.orders.quotes import Quotes

__all__ = ["app"]

app = typer.Typer(help="What a desk allows: check an order, explain the policy.", no_args_is_help=True)
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="TOML laid over the bundled policy.", show_default="the policy in force")
]
_ORDER, _ACCOUNT, _MARKET = "The order", "The account, without this order", "The market, as far as it is known"
_MARKS = {"blocking": "✗ blocks", "warning": "! warns"}


@app.command()
def check(
    symbol: Annotated[str, typer.Option(help="What to trade.", rich_help_panel=_ORDER)],
    action: Annotated[str, typer.Option(help="buy, sell or sell_short.", rich_help_panel=_ORDER)],
    shares: Annotated[int, typer.Option(help="How many.", rich_help_panel=_ORDER)],
    order_type: Annotated[
        str | None,
        typer.Option(
            help="market, limit, stop, stop_limit, midpoint_peg, ioc.",
            show_default="as the prices say",
            rich_help_panel=_ORDER,
        ),
    ] = None,
    limit_price: Annotated[str | None, typer.Option(help="Dollars.", rich_help_panel=_ORDER)] = None,
    stop_price: Annotated[str | None, typer.Option(help="Dollars.", rich_help_panel=_ORDER)] = None,
    time_in_force: Annotated[str, typer.Option(help="day, ioc, opening, closing.", rich_help_panel=_ORDER)] = "day",
    user: Annotated[str | None, typer.Option(help="Who sends it.", rich_help_panel=_ORDER)] = None,
    cash: Annotated[str, typer.Option(help="Dollars.", rich_help_panel=_ACCOUNT)] = "1000000",
    position: Annotated[
        list[str] | None,
        typer.Option(
            help="SYMBOL=SHARES@PRICE, shorts below 0; the order's own symbol goes by its quote. May be repeated.",
            rich_help_panel=_ACCOUNT,
        ),
    ] = None,
    day_pnl: Annotated[
        str, typer.Option(help="Dollars won since the day began, below 0 lost.", rich_help_panel=_ACCOUNT)
    ] = "0",
    bid: Annotated[str | None, typer.Option(help="National best, dollars.", rich_help_panel=_MARKET)] = None,
    ask: Annotated[str | None, typer.Option(help="National best, dollars.", rich_help_panel=_MARKET)] = None,
    status: Annotated[
        str | None, typer.Option(help="trading, halted or unknown: the symbol.", rich_help_panel=_MARKET)
    ] = None,
    market_halted: Annotated[
        bool, typer.Option("--market-halted", help="A breaker stops the whole market.", rich_help_panel=_MARKET)
    ] = False,
    bands: Annotated[str | None, typer.Option(help="LOWER:UPPER, dollars.", rich_help_panel=_MARKET)] = None,
    previous_close: Annotated[str | None, typer.Option(help="Dollars.", rich_help_panel=_MARKET)] = None,
    volume: Annotated[int, typer.Option(help="Shares traded on an average day.", rich_help_panel=_MARKET)] = 0,
    short_sale_restricted: Annotated[
        bool | None,
        typer.Option("--restricted/--unrestricted", help="Whether Rule 201 restricts it.", rich_help_panel=_MARKET),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="YYYY-MM-DDTHH:MM, New York.", show_default="now", rich_help_panel=_MARKET)
    ] = None,
    exchange: Annotated[
        str, typer.Option(help="MIC of the listing exchange: its phase of the day.", rich_help_panel=_MARKET)
    ] = "XNYS",
    use: Annotated[str, typer.Option(help="research or live: what an unknown does.")] = "research",
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Ask the guardrails about one order, as the first one of its day. Nothing is sent, and nothing is kept.

    What is not given is not known: for research that warns, live it blocks. Ends with 6 when the order is blocked.
    """
    from quantdesk.orders.amounts import nanoseconds
    from quantdesk.orders.guardrails import Recent, Situation, day_rules
    from quantdesk.orders.halts.hours import local_date
    from quantdesk.orders.halts.phases import phase
    from quantdesk.orders.order import Order
    from quantdesk.orders.rulebook import in_force

    kind = order_type or _kind(limit_price, stop_price)
    order = Order(symbol, action, shares, kind, limit_price, stop_price, time_in_force, user_id=user)  # type: ignore[arg-type]  # text will do
    moment = _moment(at)
    now, day = nanoseconds(moment), local_date(moment)
    quotes = _quotes(order.symbol, now, bid, ask)
    situation = Situation(
        at=now,
        use=use,  # type: ignore[arg-type]  # it is looked at
        portfolio=_account(
            cash, position or [], day, day_pnl, (order.symbol, 0 if quotes is None else quotes.nbbo.midpoint)
        ),
        quotes=quotes,
        halt=_status(order.symbol, status),
        market_halt=_status("*", "halted") if market_halted else None,
        bands=_bands(bands),
        phase=phase(exchange, moment).phase,
        short_sale_restricted=short_sale_restricted,
        previous_close=_money(previous_close, "previous close"),
        average_daily_volume=volume,
        recent=Recent(),
        rules=day_rules(in_force(), day),
        resting=(),
    )
    decision = _guardrails(policy).check(order, situation)
    if as_json:
        emit({**decision.to_dict(), "order": order, "use": use, "at": moment, "phase": situation.phase})
    else:
        words = f"{order.action} {order.shares:,} {order.symbol} {order.order_type}".replace("_", " ")
        words += f" at ${limit_price}" if limit_price is not None else ""
        verdict = "[green]✓ allowed[/]" if decision.allowed else "[red]✗ blocked[/]"
        out.print(f"[bold]{verdict}[/] · {words} · {use} · {situation.phase}, {moment:%Y-%m-%d %H:%M %Z}")
        rows = [
            (_MARKS[one.severity], one.code, one.message, one.clause.partition(";")[0])
            for one in (*decision.blocking, *decision.warnings)
        ]
        if rows:
            table("", ("", "check", "what was found", "clause"), rows)
        passed = len(decision.checked) - len({one.code for one in decision.violations})
        out.print(f"{passed} of {len(decision.checked)} checks passed · policy {decision.policy}", style="dim")
    if not decision.allowed:
        raise typer.Exit(FAILED)


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="One check, in full.", show_default="all")] = None,
    policy: PolicyFile = None,
    user: Annotated[str | None, typer.Option(help="With the overrides for this user.")] = None,
    symbol: Annotated[str, typer.Option(help="With the overrides for this symbol.")] = "",
    as_json: Json = False,
) -> None:
    """Show every check of the policy: its limits, what an unknown does, the clause that it serves. Or one in full."""
    from quantdesk.orders.guardrails.catalogue import spec
    from quantdesk.orders.symbols import canonical

    guardrails = _guardrails(policy)
    found = guardrails.explain(user, canonical(symbol) if symbol else "")
    if code is not None:
        wanted = spec(code.upper()).code
        found = tuple(one for one in found if one.code == wanted)
    if as_json:
        emit({"policy": guardrails.policy.name, "sha256": guardrails.policy.sha256, "checks": found})
    elif code is not None:
        (one,) = found
        facts = {
            "stops": one.about,
            "does": _does(one),
            "limits": one.limits,
            "hard bound": one.hard,
            "must know": one.needs,
            "unknown": f"research: {one.research}, live: {one.live}" if one.research else "",
            "reducing": "risk-reducing orders pass" if one.reducing else "",
            "picks": "asked about picks too" if one.picks else "",
            "overrides": one.overrides,
            "serves": one.clause,
        }
        table(one.code, ("", ""), [(name, said) for name, said in facts.items() if said])
    else:
        rows = [
            (
                one.code,
                _does(one),
                one.limits,
                f"{one.research} / {one.live}" if one.research else "",
                one.reducing,
                one.clause.partition(";")[0],
            )
            for one in found
        ]
        columns = ("check", "does", "limits", "unknown", "reducing", "serves")
        table(f"policy {guardrails.policy.title}", columns, rows)
        if out.is_terminal:
            out.print("unknown: what a missing input does, for research / live", style="dim")
            out.print("reducing: whether risk-reducing orders pass it · one check in full: explain CODE", style="dim")


def _does(one: Explained) -> str:
    if not one.enabled:
        return "· off"
    return _MARKS[one.severity] if one.severity else "? if unknown"


def _guardrails(policy: Path | None) -> Guardrails:
    from quantdesk.orders.guardrails import Guardrails, in_force, read

    return Guardrails(in_force() if policy is None else read(policy))


def _kind(limit: str | None, stop: str | None) -> str:
    return {(False, False): "market", (True, False): "limit", (False, True): "stop", (True, True): "stop_limit"}[
        (limit is not None, stop is not None)
    ]


def _moment(text: str | None) -> dt.datetime:
    from quantdesk.orders.halts.hours import NEW_YORK

    if text is None:
        return dt.datetime.now(NEW_YORK)
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise BadDates(f"{text!r} is no moment.", "Write YYYY-MM-DDTHH:MM, in New York's time.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=NEW_YORK)


def _money(text: str | None, what: str) -> int:
    from quantdesk.orders.amounts import micros

    return 0 if text is None else micros(text, what)


def _signed(text: str, what: str) -> int:
    """Dollars that may be 0 or below, as micro-dollars."""
    minus, bare = text.startswith("-"), text.lstrip("-").replace("_", "")
    amount = 0 if bare.strip("0.") == "" and bare else _money(bare, what)
    return -amount if minus else amount


def _account(cash: str, positions: Sequence[str], day: dt.date, day_pnl: str, own: tuple[str, int]) -> Portfolio:
    from quantdesk.orders.portfolio import Portfolio
    from quantdesk.orders.symbols import canonical

    account = Portfolio(_signed(cash, "cash"))
    for text in positions:
        name, _, rest = text.partition("=")
        number, _, price = rest.partition("@")
        try:
            shares, symbol = int(number.replace("_", "")), canonical(name)
        except ValueError:  # a BadInput is one, too
            raise BadInput(
                f"{text!r} is no position.", "Write SYMBOL=SHARES@PRICE, for example MSFT=-50@410.20."
            ) from None
        account.transfer(symbol, shares, _money(price, "price") if price else own[1] if symbol == own[0] else 0)
    account.start_day(day)
    account.equity_at_start -= _signed(day_pnl, "profit of the day")
    return account


def _quotes(symbol: str, at: int, bid: str | None, ask: str | None) -> Quotes | None:
    from quantdesk.orders.quotes import Quotes

    if bid is None and ask is None:
        return None
    low, high = _money(bid, "bid"), _money(ask, "ask")
    # Two places, each of one side: a crossed pair is the guardrails' business.
    return Quotes.of(symbol, at, {"bid": (low, 100 if low else 0, 0, 0), "ask": (0, 0, high, 100 if high else 0)})


def _status(symbol: str, given: str | None) -> HaltStatus | None:
    from quantdesk.orders.halts.status import HaltStatus, Status

    if given is None:
        return None
    if given.upper() not in list(Status):
        raise BadInput(f"There is no status {given!r}.", "Give trading, halted or unknown.")
    return HaltStatus(symbol, Status(given.upper()), "", "as given on the command line", "given", 0.0)


def _bands(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    lower, colon, upper = text.partition(":")
    if not colon:
        raise BadInput(f"{text!r} are no bands.", "Write LOWER:UPPER, for example 95:105.")
    return _money(lower, "lower band"), _money(upper, "upper band")
