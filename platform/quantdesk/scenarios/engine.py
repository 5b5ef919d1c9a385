"""One call from a scenario to its result. An edge module: it reads the store, and the clock for the time of a run.

>>> from quantdesk.scenarios import ScenarioEngine
>>> result = ScenarioEngine().run("lehman", ["momentum_alpha"], {"cash": 1_000_000})     # doctest: +SKIP
>>> result.pnl_impact, result.max_drawdown                                              # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quantdesk.errors import BadInput, UnknownName
from quantdesk.market import MarketStore
from quantdesk.scenarios import catalog
from quantdesk.scenarios.invention import before, effects_of, panel_of
from quantdesk.scenarios.path import GRADES, Path
from quantdesk.scenarios.replay import replay
from quantdesk.scenarios.result import StressResult
from quantdesk.scenarios.run import RunConfig, Stage, holdings_of, run_account, stage_of
from quantdesk.scenarios.scenario import Scenario
from quantdesk.scenarios.shocks import Era, Shock, Shocked, Shocks, generate, synthetic_shock
from quantdesk.scenarios.shocks.shock import ShockType
from quantdesk.scenarios.strategies import Named, Wisher, known_strategies, named

__all__ = ["ScenarioEngine"]

Subject = str | Scenario | Shock | Shocks | list[Shock] | Shocked | Path
Strategies = Sequence[str | Named | Wisher] | Mapping[str, str | Named | Wisher]


class ScenarioEngine:
    """Runs scenarios.

    Parameters
    ----------
    store
        Where history comes from; the one of the environment when None.
    """

    def __init__(self, store: MarketStore | None = None) -> None:
        self.store = store or MarketStore()

    def scenarios(self) -> tuple[Scenario, ...]:
        """Those of the catalogue, a user's own included."""
        return tuple(catalog.load(name) for name in catalog.names())

    def run(
        self,
        scenario: Subject,
        strategies: Strategies = ("momentum_alpha",),
        portfolio: Mapping[str, float] | None = None,
        duration_minutes: int | None = None,
        *,
        seed: int = 0,
        config: RunConfig | None = None,
    ) -> StressResult:
        """Let strategies trade a portfolio through a scenario.

        Parameters
        ----------
        scenario
            A name, an alias, the path of a TOML file, a scenario; a shock or several, from the last day on which every
            asset class is real; what :meth:`shocked` made; or a path of one's own.
        strategies
            Names, rules with options, callables; or such by a name of one's own.
        portfolio
            Cash in dollars, shares, instruments; a million dollars when None.
        duration_minutes
            Minute by minute for so many minutes, from when the scenario's minutes begin; None for the whole window at
            the scenario's own resolution.
        seed
            Of everything that is left to chance. The same seed gives the same bytes.
        config
            Limits, stops, hedges, market; its seed is the one above.

        Raises
        ------
        UnknownName
            No such scenario, strategy or symbol: the message offers the nearest.
        BadInput
            A portfolio, duration or setting that is none.
        DataError
            There is no market data yet.
        """
        config = dataclasses.replace(config or RunConfig(), seed=seed)
        stage = self.stage(scenario, duration_minutes, config)
        chosen = _chosen(strategies)
        holdings = holdings_of({"cash": 1_000_000} if portfolio is None else portfolio, stage.path)
        accounts = tuple(run_account(stage, strategy, holdings, name=name) for name, strategy in chosen.items())
        return StressResult(
            scenario=stage.path.name,
            title=stage.title or stage.path.name.replace("_", " "),
            accounts=accounts,
            share_real=shares_real(stage.path),
            grades={
                symbol: {str(grade): number for grade in GRADES if (number := stage.path.graded(grade, [symbol]))}
                for symbol in stage.path.symbols
            },
            methods=stage.path.methods,
            seed=seed,
            data_hashes={**stage.path.hashes, "path": stage.path.sha256},
            labels=tuple(dict.fromkeys((*stage.path.labels, *(label for one in accounts for label in one.labels)))),
            notes=stage.notes,
            config=config.to_dict(),
            started_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        )

    @staticmethod
    def generate_synthetic_shock(
        shock_type: ShockType = "volatility_spike",
        magnitude: float = 3.0,
        duration_days: int = 5,
        affected_sectors: Sequence[str] = (),
        **more: Any,
    ) -> Shock:
        """A shock that :meth:`run` takes; see :func:`quantdesk.scenarios.shocks.synthetic_shock`.

        >>> ScenarioEngine.generate_synthetic_shock("equity_crash", 0.3, unit="absolute").describe()
        'equity_crash 0.3 absolute over 5 days (ramp)'
        """
        return synthetic_shock(shock_type, magnitude, duration_days, affected_sectors, **more)

    def shocked(
        self,
        shocks: Shock | Shocks | Sequence[Shock],
        *,
        on: dt.date | None = None,
        era: Era | str = "2y_before",
        seed: int = 0,
    ) -> Shocked:
        """What shocks do to everything in the store.

        Parameters
        ----------
        shocks
            One, or several that happen together.
        on
            The last real day; when left out, the last on which every asset class is real.
        era
            By whose covariance the others move.
        seed
            Of the noise.
        """
        return generate(shocks, before(on, self.store), seed=seed, era=era, panel=panel_of(self.store))

    def stage(self, scenario: Subject, duration_minutes: int | None = None, config: RunConfig | None = None) -> Stage:
        """The path of a scenario, its market and its halts: what :meth:`run` lets strategies trade in."""
        config = config or RunConfig()
        if isinstance(scenario, (Shock, Shocks, list)):
            scenario = self.shocked(scenario, seed=config.seed)
        if isinstance(scenario, (Path, Shocked)):
            if duration_minutes is not None:
                raise BadInput(f"{duration_minutes!r} minutes of a path of days.", "Leave the duration out.")
            if isinstance(scenario, Path):
                return stage_of(scenario, None, config)
            return stage_of(scenario.path, None, config, effects=effects_of(scenario))
        declared = scenario if isinstance(scenario, Scenario) else catalog.load(scenario)
        return stage_of(replay(declared, self.store), declared, config, minutes=duration_minutes)


def shares_real(path: Path) -> dict[str, float]:
    """The part of bars that is real, by asset class, of what is traded, and of all; NaN where there should be none."""
    by_kind: dict[str, list[str]] = {}
    for asset in path.assets:
        by_kind.setdefault(asset.kind, []).append(asset.symbol)
    found = {kind: path.share_real(names) for kind, names in sorted(by_kind.items())}
    return {**found, "traded": path.share_real(path.traded), "all": path.share_real()}


def _chosen(strategies: Strategies) -> dict[str, Named | Wisher]:
    """Strategies by name; two of one name are numbered."""
    if isinstance(strategies, str) or not strategies:
        raise BadInput(f"The strategies are {strategies!r}.", f"Give some of {', '.join(known_strategies())}.")
    given: list[tuple[str, Any]] = (
        list(strategies.items()) if isinstance(strategies, Mapping) else [(_name(one), one) for one in strategies]
    )
    found: dict[str, Named | Wisher] = {}
    for name, strategy in given:
        if isinstance(strategy, str):
            strategy = named(strategy)
        if not isinstance(strategy, Named) and not callable(strategy):
            raise UnknownName("strategy", repr(strategy), known_strategies())
        number, told = 2, name
        while told in found:
            told, number = f"{name} {number}", number + 1
        found[told] = strategy
    return found


def _name(strategy: str | Named | Callable[..., Any]) -> str:
    if isinstance(strategy, str):
        return strategy
    return strategy.name if isinstance(strategy, Named) else getattr(strategy, "__name__", "strategy")
