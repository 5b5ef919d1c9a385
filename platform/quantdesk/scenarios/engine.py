"""One call from a scenario to its result. An edge module: it reads the store, and the clock for the time of a run.

>>> from quantdesk.scenarios import ScenarioEngine
>>> result = ScenarioEngine().run("lehman", ["momentum_alpha"], {"cash": 1_000_000})     # doctest: +SKIP
>>> result.pnl_impact, result.max_drawdown                                              # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from quantdesk.errors import BadInput, UnknownName
from quantdesk.market import MarketStore
from quantdesk.scenarios import catalog
from quantdesk.scenarios.invention import before, effects_of, panel_of, reversed_stress
from quantdesk.scenarios.path import GRADES, Path
from quantdesk.scenarios.recommend import (
    Question,
    Recommendations,
    Rules,
    SearchSpace,
    calm_scenarios,
    entries_of,
    sizes_in,
)
from quantdesk.scenarios.recommend import recommend as search
from quantdesk.scenarios.replay import replay
from quantdesk.scenarios.result import StressResult
from quantdesk.scenarios.reverse import Reverse
from quantdesk.scenarios.run import RunConfig, Stage, holdings_of, run_account, stage_of
from quantdesk.scenarios.scenario import Scenario
from quantdesk.scenarios.shocks import Era, Shock, Shocked, Shocks, generate, synthetic_shock
from quantdesk.scenarios.shocks.shock import ShockType
from quantdesk.scenarios.strategies import Named, Wisher, known_strategies, named

__all__ = ["ScenarioEngine"]

_KEPT = 16
Told = Callable[[int, int], None]
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
        self._stages: OrderedDict[tuple[Any, ...], Stage] = OrderedDict()
        self._turn = threading.RLock()

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
        recommend: bool = False,
        told: Told = lambda done, most: None,
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
        recommend
            Whether to look for what would have helped: some hundred runs more, see :meth:`recommend`.
        told
            Called before each of those runs with their number so far, and the most that there can be.

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
        chosen = _chosen(strategies)
        result = self._result(self.stage(scenario, duration_minutes, config), chosen, portfolio)
        if not recommend:
            return result
        found = self.recommend(scenario, chosen, portfolio, duration_minutes, config=config, first=result, told=told)
        return dataclasses.replace(
            result,
            recommendations=tuple(found),
            notes=(*result.notes, *([found.reason] if found.reason else [])),
        )

    def _result(
        self, stage: Stage, strategies: Mapping[str, Named | Wisher], portfolio: Mapping[str, float] | None
    ) -> StressResult:
        path = stage.path
        holdings = holdings_of({"cash": 1_000_000} if portfolio is None else portfolio, path)
        accounts = tuple(run_account(stage, strategy, holdings, name=name) for name, strategy in strategies.items())
        return StressResult(
            scenario=path.name,
            title=stage.title or path.name.replace("_", " "),
            accounts=accounts,
            share_real=shares_real(path),
            grades={
                symbol: {str(grade): number for grade in GRADES if (number := path.graded(grade, [symbol]))}
                for symbol in path.symbols
            },
            methods=path.methods,
            seed=stage.config.seed,
            data_hashes={**path.hashes, "path": path.sha256, **_hashes(strategies)},
            labels=tuple(dict.fromkeys((*path.labels, *(label for one in accounts for label in one.labels)))),
            notes=stage.notes,
            config=stage.config.to_dict(),
            started_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        )

    def recommend(
        self,
        scenario: Subject,
        strategies: Strategies = ("momentum_alpha",),
        portfolio: Mapping[str, float] | None = None,
        duration_minutes: int | None = None,
        *,
        config: RunConfig | None = None,
        space: SearchSpace | None = None,
        rules: Rules | None = None,
        first: StressResult | None = None,
        told: Told = lambda done, most: None,
    ) -> Recommendations:
        """What would have helped: searched, run, judged on the other crises of the catalogue, priced in calm times.

        Parameters
        ----------
        scenario, strategies, portfolio, duration_minutes, config
            As for :meth:`run`. The minutes are those of the scenario in question: the others are run whole.
        space, rules
            See :func:`quantdesk.scenarios.recommend.recommend`.
        first
            The result without a change, where it is known already.
        told
            See :meth:`run`.
        """
        config, rules = config or RunConfig(), rules or Rules()
        chosen = _chosen(strategies)
        path = self.stage(scenario, duration_minutes, config).path
        others = [name for name in catalog.names() if name != path.name]
        calm = {one.name: one for one in calm_scenarios(entries_of(path))}
        subjects: dict[str, Subject] = {path.name: scenario, **{name: name for name in others}, **calm}
        minutes = {path.name: duration_minutes}
        count = 0

        def run(name: str, settings: RunConfig) -> StressResult:
            nonlocal count
            told(count, rules.max_runs)
            count += 1
            if first is not None and name == path.name and settings == config:
                return first
            return self._result(self.stage(subjects[name], minutes.get(name), settings), chosen, portfolio)

        question = Question(path.name, tuple(others), tuple(calm))
        sizes = sizes_in(lambda name: self.stage(subjects[name], minutes.get(name), config).path)
        return search(run, question, config, space=space, rules=rules, sizes=sizes)

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
        base = before(on, self.store)
        return generate(shocks, base, seed=seed, era=era, panel=panel_of(base, self.store))

    def reverse(
        self,
        portfolio: Mapping[str, float],
        limit: float,
        *,
        on: dt.date | None = None,
        days: int = 1,
        eras: Sequence[Era | str] = ("2y_before", "crisis_2008"),
    ) -> dict[str, Reverse]:
        """The most plausible shock that makes a portfolio lose a limit, for the covariance of each era.

        Parameters
        ----------
        portfolio
            As for :meth:`run`; it is revalued in full, options and bonds included.
        limit
            Dollars.
        on
            The day of the book; when None, the last on which every asset class is real.
        days
            Sessions that the shock takes.
        eras
            Of calm and of crisis.

        Raises
        ------
        BadInput
            The portfolio holds nothing that moves, or a limit that is none.
        """
        path = before(on, self.store, history_days=4000)  # the eras lie in it
        return reversed_stress(path, holdings_of(portfolio, path), limit, days, eras)

    def stage(self, scenario: Subject, duration_minutes: int | None = None, config: RunConfig | None = None) -> Stage:
        """The path of a scenario, its market and its halts: what :meth:`run` lets strategies trade in.

        The last ones are kept: what the levers of a configuration change is no part of them, so that many runs of one
        scenario replay it once.
        """
        config = config or RunConfig()
        subject = catalog.load(scenario) if isinstance(scenario, str) else scenario
        key = (_identity(subject), duration_minutes, config.market, _chance(subject, duration_minutes, config.seed))
        with self._turn:
            version = "" if isinstance(subject, (Path, Shocked)) else self.store.version
            made = self._stages.get((*key, version)) or self._staged(subject, duration_minutes, config)
            self._stages[*key, version] = made
            self._stages.move_to_end((*key, version))
            while len(self._stages) > _KEPT:
                self._stages.popitem(last=False)
        return dataclasses.replace(made, config=config)

    def _staged(self, subject: Subject, duration_minutes: int | None, config: RunConfig) -> Stage:
        if isinstance(subject, Scenario):
            return stage_of(replay(subject, self.store), subject, config, minutes=duration_minutes)
        if duration_minutes is not None:
            raise BadInput(f"{duration_minutes!r} minutes of a path of days.", "Leave the duration out.")
        if isinstance(subject, Path):
            return stage_of(subject, None, config)
        shocked = subject if isinstance(subject, Shocked) else self.shocked(_shocks(subject), seed=config.seed)
        made = stage_of(shocked.path, None, config, effects=effects_of(shocked))
        said = (shocked.shocks.describe(), *shocked.notes, *((shocked.error.text(),) if shocked.error else ()))
        return dataclasses.replace(made, title=shocked.shocks.describe(), notes=(*made.notes, *said))


def _hashes(strategies: Mapping[str, Named | Wisher]) -> dict[str, str]:
    """Of strategies that have one, as those of notebooks do."""
    given = {f"strategy {name}": getattr(one, "sha256", None) for name, one in strategies.items()}
    return {name: found for name, found in given.items() if isinstance(found, str)}


def _identity(subject: Subject) -> str:
    """What a scenario is, as text: equal ones have equal stages."""
    if isinstance(subject, Scenario):
        return subject.model_dump_json()
    if isinstance(subject, Path):
        return subject.sha256
    return f"{subject.path.sha256} {subject.text()}" if isinstance(subject, Shocked) else repr(subject)


def _chance(subject: Subject, duration_minutes: int | None, seed: int) -> int | None:
    """The seed, where the path rests on it: days that were, and paths that are given, do not."""
    by_minute = isinstance(subject, Scenario) and (duration_minutes is not None or subject.resolution == "minute")
    return None if isinstance(subject, (Scenario, Path, Shocked)) and not by_minute else seed


def _shocks(subject: object) -> Shock | Shocks | Sequence[Shock]:
    if isinstance(subject, (Shock, Shocks, list)):
        return subject
    raise BadInput(f"{str(subject)[:80]!r} is no scenario.", "Give a name, a scenario, a shock or a path.")


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
