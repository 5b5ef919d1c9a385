"""Every feature of the platform, declared once: what it means, how it is computed, what it needs. Pure.

The Feast repository, the tables on disk, the documentation and the reasons for nulls are all made from
:data:`FEATURES` and :data:`VIEWS`; nothing about a feature is written down anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from quantdesk.features import transforms
from quantdesk.features.inputs import Inputs
from quantdesk.features.rolling import Array
from quantdesk.market.series import Flags

__all__ = ["BENCHMARK", "FEATURES", "VIEWS", "Feature", "View"]

BENCHMARK = "SPX"
"""What beta is measured against."""

_PRICES = frozenset({"equity", "etf", "index", "fx", "commodity"})
_LEVELS = _PRICES | {"rate", "volatility"}
_TRADED = frozenset({"equity", "etf"})
_STOCKS = frozenset({"equity", "etf", "index"})


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes
    ----------
    name
        The column it becomes.
    description
        What it tells, in one or two sentences.
    unit
        The unit of its values.
    formula
        The formula; ``P`` is the price (adjusted close where there is one), ``t`` the session.
    source
        Where the formula comes from.
    look_back
        The number of sessions that the first value needs. Recursive features keep a fading memory of all earlier ones.
    inputs
        What it reads of a series: see :class:`quantdesk.features.inputs.Inputs`.
    view
        The name of its :class:`View`.
    kinds
        The kinds of series for which it has a meaning.
    not_for_others
        The reason given for series of another kind.
    undefined
        The reason given where the inputs are complete and the formula still has no value.
    compute
        The formula on :class:`~quantdesk.features.inputs.Inputs`; None for a feature of the market as a whole.
    """

    name: str
    description: str
    unit: str
    formula: str
    source: str
    look_back: int
    inputs: tuple[str, ...]
    view: str
    kinds: frozenset[str]
    not_for_others: str
    undefined: str
    compute: Callable[[Inputs], Array] | None

    @property
    def home(self) -> View:
        """The view that holds it."""
        return VIEWS[self.view]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; without the code."""
        given = {field.name: getattr(self, field.name) for field in fields(Feature) if field.name != "compute"}
        return {**given, "inputs": list(self.inputs), "kinds": sorted(self.kinds)}


@dataclass(frozen=True)
class View:
    """Features that share their times, and so one table.

    Attributes
    ----------
    name
        The name of the Feast feature view.
    description
        What its rows are.
    entity
        ``"symbol"``, or None where a row is about the market as a whole.
    ttl
        How old the latest known row may be before it no longer answers.
    knowledge
        When a row could first be known.
    """

    name: str
    description: str
    entity: str | None
    ttl: timedelta
    knowledge: str

    @property
    def features(self) -> tuple[Feature, ...]:
        """Its features, in the order of declaration."""
        return tuple(feature for feature in FEATURES.values() if feature.view == self.name)

    @property
    def flags(self) -> Flags | None:
        """What a result must say about its numbers; None where that follows from the series behind them."""
        return None


# Longer than the week in September 2001 without sessions, and than the slowest source (published a week later) over
# holidays; shorter than a month: a series that has ended soon stops answering.
_TTL = timedelta(days=15)

VIEWS: Mapping[str, View] = MappingProxyType(
    {
        view.name: view
        for view in (
            View(
                "technical",
                "Features of one series' own prices and volumes, one row per symbol and session.",
                "symbol",
                _TTL,
                "session close plus the publication lag of the series",
            ),
            View(
                "market_model",
                f"Features of a series against the benchmark {BENCHMARK}, one row per symbol and session.",
                "symbol",
                _TTL,
                f"the later of the series' and {BENCHMARK}'s: session close plus publication lag",
            ),
            View(
                "sentiment",
                "The mood of the market as a whole, one row per session of the panel; the same for every symbol.",
                None,
                _TTL,
                "the latest of its sources: session close plus the publication lag of the slowest panel member",
            ),
        )
    }
)


def _on_price(
    name: str, look_back: int, compute: Callable[[Array], Array], description: str, unit: str, formula: str, source: str
) -> Feature:
    """A feature of any level that has a price, yields and volatility indices included."""
    return Feature(
        name=name,
        description=description,
        unit=unit,
        formula=formula,
        source=source,
        look_back=look_back,
        inputs=("price",),
        view="technical",
        kinds=_LEVELS,
        not_for_others="unknown_kind",
        undefined="no_value",
        compute=lambda inputs: compute(inputs.price),
    )


def _on_returns(
    name: str, look_back: int, compute: Callable[[Array], Array], description: str, unit: str, formula: str, source: str
) -> Feature:
    """A feature of returns: it needs something that can be held, which a yield or a volatility index is not."""
    return Feature(
        name=name,
        description=description,
        unit=unit,
        formula=formula,
        source=source,
        look_back=look_back,
        inputs=("price",),
        view="technical",
        kinds=_PRICES,
        not_for_others="not_a_price",
        undefined="non_positive_price",
        compute=lambda inputs: compute(inputs.price),
    )


_UNIT = "unit of the series' price, adjusted scale"
_WILDER = "Wilder, New Concepts in Technical Trading Systems (1978)"


def _sma(window: int) -> Feature:
    return _on_price(
        f"sma_{window}",
        window,
        lambda price: transforms.sma(price, window),
        f"Simple moving average of the last {window} prices.",
        _UNIT,
        f"mean(P[t-{window - 1}..t])",
        "arithmetic mean",
    )


def _ema(window: int) -> Feature:
    return _on_price(
        f"ema_{window}",
        window,
        lambda price: transforms.ema(price, window),
        f"Exponential moving average with a span of {window} sessions, seeded by the mean of the first {window}.",
        _UNIT,
        f"E[t] = E[t-1] + 2/{window + 1} * (P[t] - E[t-1])",
        "Appel, Technical Analysis: Power Tools for Active Investors (2005); seed as in TA-Lib",
    )


def _ret(window: int, word: str) -> Feature:
    return _on_returns(
        f"ret_{window}d",
        window + 1,
        lambda price: transforms.returns(price, window),
        f"Simple return over {word}.",
        "fraction",
        f"P[t] / P[t-{window}] - 1",
        "simple return",
    )


def _vol(window: int, word: str) -> Feature:
    return _on_returns(
        f"vol_{window}d",
        window + 1,
        lambda price: transforms.volatility(price, window),
        f"Realised volatility of the last {word}: sample standard deviation of daily simple returns, annualised.",
        "fraction per year",
        f"std(r[t-{window - 1}..t], ddof=1) * sqrt(252)",
        "sample standard deviation, 252 sessions a year",
    )


_DECLARED = (
    _sma(20),
    _sma(50),
    _sma(200),
    _ema(12),
    _ema(26),
    _on_price(
        "macd",
        26,
        transforms.macd,
        "Moving average convergence divergence: the 12-session exponential average less the 26-session one.",
        _UNIT,
        "ema_12[t] - ema_26[t]",
        "Appel (2005), chapter 6; each average seeded on its own first window",
    ),
    Feature(
        name="rsi_14",
        description="Relative strength index: the share of gains in the smoothed moves of 14 sessions.",
        unit="0 to 100",
        formula="100 * G / (G + L); G, L: Wilder means of gains and losses, seeded by the mean of 14 changes",
        source=f"{_WILDER}, section VI",
        look_back=15,
        inputs=("price",),
        view="technical",
        kinds=_LEVELS,
        not_for_others="unknown_kind",
        undefined="no_price_change",
        compute=lambda inputs: transforms.rsi(inputs.price, 14),
    ),
    Feature(
        name="atr_14",
        description="Average true range of 14 sessions: how far the price moves in a session, gaps included.",
        unit=_UNIT,
        formula="Wilder mean of max(H[t], C[t-1]) - min(L[t], C[t-1]), seeded by the mean of 14 ranges",
        source=f"{_WILDER}, section III; the first session has no range, as in TA-Lib",
        look_back=15,
        inputs=("high", "low", "close"),
        view="technical",
        kinds=_LEVELS,
        not_for_others="unknown_kind",
        undefined="no_value",
        compute=lambda inputs: transforms.atr(inputs.high, inputs.low, inputs.close, 14),
    ),
    Feature(
        name="bollinger_z_20",
        description="Distance of the price from its 20-session average, in standard deviations of those 20 prices.",
        unit="standard deviations",
        formula="(P[t] - mean(P[t-19..t])) / std(P[t-19..t], ddof=0)",
        source="Bollinger, Bollinger on Bollinger Bands (2001), chapter 8",
        look_back=20,
        inputs=("price",),
        view="technical",
        kinds=_LEVELS,
        not_for_others="unknown_kind",
        undefined="zero_variance",
        compute=lambda inputs: transforms.bollinger_z(inputs.price, 20),
    ),
    _ret(1, "one session"),
    _ret(5, "five sessions"),
    _ret(21, "21 sessions, about a month"),
    _on_returns(
        "mom_12_1",
        253,
        lambda price: transforms.momentum(price, 252, 21),
        "Momentum: the return of the last twelve months without the latest month.",
        "fraction",
        "P[t-21] / P[t-252] - 1",
        "Jegadeesh and Titman, Journal of Finance 48 (1993)",
    ),
    _vol(21, "21 sessions"),
    _vol(63, "63 sessions"),
    Feature(
        name="beta_252d",
        description=f"Sensitivity of daily returns to those of {BENCHMARK} over 252 returns: slope of least squares.",
        unit="none",
        formula="cov(r, r_benchmark) / var(r_benchmark) over t-251..t",
        source="market model: Sharpe, Management Science 9 (1963); raw returns, no risk-free rate taken off",
        look_back=253,
        inputs=("price", "benchmark"),
        view="market_model",
        kinds=_STOCKS,
        not_for_others="not_a_stock",
        undefined="zero_variance",
        compute=lambda inputs: transforms.beta(inputs.price, inputs.benchmark, 252),
    ),
    _on_returns(
        "drawdown_252d",
        252,
        lambda price: transforms.drawdown(price, 252),
        "How far the price stands below its highest of the last 252 sessions.",
        "fraction, 0 or negative",
        "P[t] / max(P[t-251..t]) - 1",
        "running drawdown on a moving window",
    ),
    Feature(
        name="dollar_volume_21d",
        description="Mean value traded per session over 21 sessions: close as traded times volume.",
        unit="currency of the series per session",
        formula="mean(C[t-20..t] * V[t-20..t])",
        source="arithmetic mean",
        look_back=21,
        inputs=("traded_close", "volume"),
        view="technical",
        kinds=_TRADED,
        not_for_others="not_traded",
        undefined="no_value",
        compute=lambda inputs: transforms.dollar_volume(inputs.traded_close, inputs.volume, 21),
    ),
    Feature(
        name="amihud_21d",
        description="Illiquidity: the mean absolute daily return per million of currency traded, over 21 sessions.",
        unit="fraction per million of the series' currency",
        formula="10**6 * mean(|r[t-20..t]| / (C[t-20..t] * V[t-20..t]))",
        source="Amihud, Journal of Financial Markets 5 (2002), equation 1, times 10**6",
        look_back=22,
        inputs=("price", "traded_close", "volume"),
        view="technical",
        kinds=_TRADED,
        not_for_others="not_traded",
        undefined="zero_volume",
        compute=lambda inputs: transforms.amihud(inputs.price, inputs.traded_close, inputs.volume, 21),
    ),
    Feature(
        name="sentiment_z",
        description=(
            "Mood of the market, high when most stocks of the panel stand above their 50-session average and their "
            "volatility is low. Made from market prices, not from news; a news score plugs in as one more source."
        ),
        unit="standard deviations",
        formula="mean over sources of (s[t] - mean(s[t-251..t])) / std(s[t-251..t]); s: breadth, minus volatility",
        source="own composite of two market series; there is no published formula that it claims to follow",
        look_back=301,
        inputs=("panel",),
        view="sentiment",
        kinds=_LEVELS,
        not_for_others="unknown_kind",
        undefined="zero_variance",
        compute=None,
    ),
)

FEATURES: Mapping[str, Feature] = MappingProxyType({feature.name: feature for feature in _DECLARED})
"""Every feature by name, in the order of declaration."""
