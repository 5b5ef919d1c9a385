"""``quantdesk scenario``: list crises, run strategies through them, invent shocks, ask which shock breaches a limit."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from quantdesk.cli.scenario_reverse import reverse_document, show_reverse
from quantdesk.cli.scenario_screen import show_catalogue, show_comparison, show_result, show_shock
from quantdesk.cli.scenario_strategies import strategies_of
from quantdesk.cli.terminal import Json, emit, progress
from quantdesk.errors import BadDates

__all__ = ["app"]

app = typer.Typer(help="Crises: list, run, shock, reverse, compare.", no_args_is_help=True)

Strategy = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        "-s",
        help="A name, the path of a notebook, or module:function; may be repeated.",
        show_default="momentum_alpha",
    ),
]
Part = Annotated[
    list[str] | None,
    typer.Option(
        "--hold", "-p", help="NAME=QUANTITY: cash, a symbol, an instrument; may be repeated.", show_default=False
    ),
]
PortfolioFile = Annotated[
    Path | None, typer.Option("--portfolio", help="A JSON file: quantities by name.", show_default=False)
]
Seed = Annotated[int, typer.Option(min=0, help="Of everything that is left to chance.")]
Hedge = Annotated[
    list[str] | None, typer.Option(help="NAME=QUANTITY, bought at the beginning; may be repeated.", show_default=False)
]
Share = Annotated[float | None, typer.Option(help="A part of 1.", show_default=False)]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the crises of the catalogue, and those of your own folder."""
    from quantdesk.scenarios.commands import listed

    found = listed()
    emit([one.model_dump(mode="json") for one in found]) if as_json else show_catalogue(found)


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="A name, an alias, or the path of a TOML file.")],
    strategy: Strategy = None,
    hold: Part = None,
    portfolio: PortfolioFile = None,
    minutes: Annotated[int | None, typer.Option(help="Minute by minute for so long.", show_default=False)] = None,
    seed: Seed = 0,
    cash_buffer: Share = None,
    stop_distance: Share = None,
    position_limit: Share = None,
    sector_limit: Share = None,
    hedge: Hedge = None,
    recommend: Annotated[bool, typer.Option(help="Look for what would have helped: some minutes.")] = False,
    as_json: Json = False,
) -> None:
    """Let strategies trade a portfolio through a crisis."""
    from quantdesk.scenarios import ScenarioEngine
    from quantdesk.scenarios.commands import configured, portfolio_of

    levers = {
        "cash_buffer": cash_buffer,
        "stop_distance": stop_distance,
        "position_limit": position_limit,
        "sector_limit": sector_limit,
    }
    chosen = strategies_of(strategy or ["momentum_alpha"])
    with progress(quiet=as_json) as shown, _nothing_printed(as_json):
        shown(f"{scenario} …", 0, 0)
        result = ScenarioEngine().run(
            scenario,
            chosen,
            portfolio_of(hold or [], portfolio),
            minutes,
            seed=seed,
            config=configured(levers, hedge or []),
            recommend=recommend,
            told=lambda done, most: shown("what would have helped", done, most),
        )
    emit(result) if as_json else show_result(result)


@app.command()
def shock(
    shock_type: Annotated[str, typer.Argument(help="For example equity_crash, rate_shift, credit_freeze.")],
    magnitude: Annotated[float, typer.Argument(help="Standard deviations, or absolute.")] = 3.0,
    absolute: Annotated[bool, typer.Option(help="The magnitude is absolute: 0.2 for a fall of 20 %.")] = False,
    days: Annotated[int, typer.Option(help="Sessions that it takes.")] = 5,
    sector: Annotated[list[str] | None, typer.Option(help="A sector; may be repeated.", show_default=False)] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="A symbol; may be repeated.", show_default=False)] = None,
    shape: Annotated[str, typer.Option(help="jump, ramp, V or L.")] = "ramp",
    style: Annotated[str, typer.Option(help="Of a rate_shift: parallel, steepener, inversion.")] = "parallel",
    era: Annotated[str, typer.Option(help="By whose covariance the others move.")] = "2y_before",
    on: Annotated[str | None, typer.Option(help="The last real day, YYYY-MM-DD.", show_default=False)] = None,
    strategy: Strategy = None,
    hold: Part = None,
    portfolio: PortfolioFile = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Invent a shock, and let strategies trade a portfolio through it."""
    from quantdesk.scenarios import ScenarioEngine
    from quantdesk.scenarios.commands import portfolio_of

    chosen, engine = strategies_of(strategy or ["momentum_alpha"]), ScenarioEngine()
    made = engine.generate_synthetic_shock(
        shock_type,  # type: ignore[arg-type]  # it is looked at there, and refused with the nearest names
        magnitude,
        days,
        tuple(sector or ()),
        unit="absolute" if absolute else "sd",
        symbols=tuple(symbol or ()),
        shape=shape,
        style=style,
    )
    with progress(quiet=as_json) as shown, _nothing_printed(as_json):
        shown(f"{shock_type} …", 0, 0)
        shocked = engine.shocked(made, on=_day(on), era=era, seed=seed)
        result = engine.run(shocked, chosen, portfolio_of(hold or [], portfolio), seed=seed)
    if as_json:
        emit(result)
        return
    show_result(result, notes=False)
    show_shock(shocked)


@app.command()
def reverse(
    loss: Annotated[float, typer.Argument(help="The limit: dollars that the book must not lose.")],
    hold: Part = None,
    portfolio: PortfolioFile = None,
    days: Annotated[int, typer.Option(min=1, max=252, help="Sessions that the shock takes.")] = 1,
    era: Annotated[
        list[str] | None,
        typer.Option(help="Whose covariance; may be repeated.", show_default="2y_before and crisis_2008"),
    ] = None,
    on: Annotated[str | None, typer.Option(help="The day of the book, YYYY-MM-DD.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Find the most plausible shock that makes a book lose so much, and the nearest day that really was."""
    from quantdesk.scenarios import ScenarioEngine
    from quantdesk.scenarios.commands import portfolio_of

    with progress(quiet=as_json) as shown:
        shown("the shortest way to a loss", 0, 0)
        found = ScenarioEngine().reverse(
            portfolio_of(hold or [], portfolio),
            loss,
            on=_day(on),
            days=days,
            eras=tuple(era or ("2y_before", "crisis_2008")),
        )
    if as_json:
        emit({name: reverse_document(one) for name, one in found.items()})
    else:
        show_reverse(found)


@app.command()
def compare(
    strategy: Strategy = None,
    scenario: Annotated[
        list[str] | None, typer.Option(help="A scenario; may be repeated.", show_default="all of the catalogue")
    ] = None,
    hold: Part = None,
    portfolio: PortfolioFile = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare strategies over crises: P&L and deepest drawdown of each, on QUANTDESK_COMPUTE's processes or cluster."""
    from quantdesk.scenarios.commands import compared, portfolio_of

    chosen = strategies_of(strategy or ["momentum_alpha", "mean_reversion", "equal_weight"])
    with progress(quiet=as_json) as shown, _nothing_printed(as_json):
        found = compared(scenario or (), chosen, portfolio_of(hold or [], portfolio), seed=seed, progress=shown)
    emit(found) if as_json else show_comparison(found, list(chosen))


@contextlib.contextmanager
def _nothing_printed(as_json: bool) -> Iterator[None]:
    """What strategies print goes to the standard error where the standard output is one JSON document.

    Worker processes inherit the file and not the object, so that the file itself is exchanged.
    """
    if not as_json:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _day(text: str | None) -> dt.date | None:
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise BadDates(f"{text!r} is no day.", "Give one as YYYY-MM-DD.") from None
