"""What a book may hold, as short texts, so that a portfolio can be JSON. Pure.

======================  ==================================================================  ======================
Text                    What                                                                A quantity of 1 is
======================  ==================================================================  ======================
``AAPL``                a stock, a fund, or an index (as a fund that tracks it)             a share
``FX:EURUSD``           a currency held; against another than the dollar, borrowed there    1 EUR
``FXFWD:EURUSD:3M``     a forward at covered parity; ``:4.2%`` more gives the foreign rate  1 EUR
``UST:10Y``             a Treasury bond with the par coupon of the start; a bill up to 6M   1 dollar of face
``ZERO:5Y``             a Treasury zero-coupon bond                                         1 dollar of face
``UST_LADDER:2Y,5Y``    a dollar of face spread evenly over such bonds                      1 dollar of face
``FUT:WTI``             a future that moves as the spot; ``FUT:WTI:6M:8%``: with a carry    contract of 1,000 bbl
``OPT:SPX:P:90%:3M``    a European put (``C``: call); the strike in percent of the spot at  contract of 100
                        the start, or in points as in ``OPT:SPX:P:1200:3M``
======================  ==================================================================  ======================
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.instruments.bonds import Bond, Ladder
from quantdesk.scenarios.instruments.forwards import Forward
from quantdesk.scenarios.instruments.instrument import Instrument
from quantdesk.scenarios.instruments.linear import Currency, Future, Share
from quantdesk.scenarios.instruments.options import Option
from quantdesk.scenarios.instruments.quantlib import after
from quantdesk.scenarios.instruments.state import State, tenor_of
from quantdesk.scenarios.path import TRADED

__all__ = ["FORMS", "Spec", "parse"]

FORMS = {
    "FX": "FX:EURUSD",
    "FXFWD": "FXFWD:EURUSD:3M or FXFWD:EURUSD:3M:4.2%",
    "UST": "UST:10Y",
    "ZERO": "ZERO:5Y",
    "UST_LADDER": "UST_LADDER:2Y,5Y,10Y,30Y",
    "FUT": "FUT:WTI or FUT:WTI:6M:8%",
    "OPT": "OPT:SPX:P:90%:3M or OPT:SPX:C:1200:3M",
}
"""By prefix, what is right."""

_SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^_@-]{0,47}")
_TENOR = re.compile(r"([1-9][0-9]{0,3})([DWMY])")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_PAIR = re.compile(r"[A-Z]{6}")
_DAYS = {"D": 1.0, "W": 7.0, "M": 365 / 12, "Y": 365.0}
_RUNGS = 30


@dataclass(frozen=True, slots=True)
class Tenor:
    """A time from the start: ``3M``."""

    count: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    @property
    def years(self) -> float:
        """About how long."""
        return self.count * _DAYS[self.unit] / 365

    def after(self, day: dt.date) -> dt.date:
        """The day that lies so much later."""
        return after(day, self.count, self.unit)


@dataclass(frozen=True)
class Spec:
    """A text that was understood.

    Attributes
    ----------
    text
        As given.
    bind
        From the state at the start to the instrument, whose strike, maturity and coupon are fixed then.
    """

    text: str
    bind: Callable[[State], Instrument]


def parse(text: str) -> Spec:
    """Understand the text of an instrument.

    Raises
    ------
    BadInput
        It is no such text; the message says what would be right.
    UnknownName
        No such prefix.
    """
    if not isinstance(text, str) or not text or len(text) > 200 or not text.isascii() or not text.isprintable():
        shown = repr(text)[:80]
        raise BadInput(f"The instrument {shown} is no text of 1 to 200 plain letters.", f"Give one as in {_EXAMPLES}.")
    prefix, colon, rest = text.partition(":")
    if not colon:
        if not _SYMBOL.fullmatch(text):
            raise BadInput(f"The instrument {text!r} is no symbol.", f"Give one as in AAPL, or as in {_EXAMPLES}.")
        return Spec(text, lambda state: _share(text, state))
    if prefix not in _KINDS:
        raise UnknownName("kind of instrument", prefix, FORMS)
    return Spec(text, _KINDS[prefix](text, rest.split(":")))


_EXAMPLES = ", ".join(form.split(" or ")[0] for form in FORMS.values())


def _wrong(text: str, what: str) -> BadInput:
    return BadInput(f"The instrument {text!r} {what}.", f"Give {FORMS[text.partition(':')[0]]}.")


def _tenor(text: str, part: str, longest: float) -> Tenor:
    found = _TENOR.fullmatch(part)
    if not found:
        raise _wrong(text, f"has the time {part!r}, which is not as in 3M or 10Y")
    tenor = Tenor(int(found[1]), found[2])
    if tenor.years > longest + 1e-9:
        raise _wrong(text, f"has the time {part}, which is longer than {longest:g} years")
    return tenor


def _percent(text: str, part: str, what: str) -> float:
    negative, digits = part.startswith("-"), part.removeprefix("-")
    if not digits.endswith("%") or not _NUMBER.fullmatch(digits[:-1]) or float(digits[:-1]) > 100:
        raise _wrong(text, f"has the {what} {part!r}, which is no percentage from -100% to 100%")
    return float(digits[:-1]) / 100 * (-1 if negative else 1)


def _pair(text: str, part: str) -> tuple[str, str]:
    if not _PAIR.fullmatch(part) or part[:3] == part[3:]:
        raise _wrong(text, f"has the pair {part!r}, which is not two different currencies of three capitals each")
    return part[:3], part[3:]


def _share(text: str, state: State) -> Instrument:
    if text not in state.kinds:
        raise UnknownName("symbol of this scenario", text, [s for s, kind in state.kinds.items() if kind in TRADED])
    kind = state.kinds[text]
    if kind not in TRADED:
        years = tenor_of(text)
        better = {"fx": f"FX:{text}", "commodity": f"FUT:{text}", "volatility": "an option, as in OPT:SPX:P:90%:3M"}
        if kind == "rate" and years is not None:
            better["rate"] = f"UST:{text.removeprefix('UST')}"
        raise BadInput(f"{text} is a {kind}, which nobody can hold.", f"Give {better.get(kind, 'another instrument')}.")
    state.value(text)
    return Share(text, kind, state.sectors.get(text, ""))


def _currency(text: str, parts: list[str]) -> Callable[[State], Instrument]:
    if len(parts) != 1:
        raise _wrong(text, "does not have one part after FX")
    base, quote = _pair(text, parts[0])

    def bound(state: State) -> Instrument:
        rate = state.usd_per(base) / state.usd_per(quote)
        return Currency(base, quote, rate, Currency.pairs_of(state, base, quote))

    return bound


def _forward(text: str, parts: list[str]) -> Callable[[State], Instrument]:
    if len(parts) not in (2, 3):
        raise _wrong(text, "does not have a pair and a time")
    pair, tenor = _pair(text, parts[0]), _tenor(text, parts[1], 10)
    foreign = _percent(text, parts[2], "foreign rate") if len(parts) == 3 else None
    if foreign is not None and "USD" not in pair:
        raise _wrong(text, "gives a foreign rate, of which there are two when neither currency is the dollar")
    return lambda state: Forward.fair(state, pair, tenor.after(state.on), Currency.pairs_of(state, *pair), foreign)


def _bond(text: str, part: str, *, zero: bool) -> Callable[[State], Bond]:
    tenor = _tenor(text, part, 30)
    is_bill = tenor.years <= 0.5 + 1e-9
    months = tenor.count * {"M": 1, "Y": 12}.get(tenor.unit, 0)
    if not zero and not is_bill and (not months or months % 6):
        raise _wrong(text, f"has the maturity {part}, which is no whole number of half-years, as coupons need")

    def bound(state: State) -> Bond:
        if tenor.years > state.curve.longest + 1e-9:
            raise BadInput(
                f"{text!r} needs yields to {tenor.years:g} years; the longest known on {state.on} is"
                f" {state.curve.longest:g} years.",
                "Take a shorter maturity, or a scenario with that yield.",
            )
        maturity = tenor.after(state.on)
        coupon = 0.0 if zero or is_bill else state.curve.par_coupon(maturity)
        return Bond(state.on, maturity, coupon, str(tenor))

    return bound


def _one_bond(text: str, parts: list[str]) -> Callable[[State], Instrument]:
    if len(parts) != 1:
        raise _wrong(text, "does not have one maturity")
    return _bond(text, parts[0], zero=text.startswith("ZERO"))


def _ladder(text: str, parts: list[str]) -> Callable[[State], Instrument]:
    rungs = parts[0].split(",")
    if len(parts) != 1 or len(rungs) > _RUNGS:
        raise _wrong(text, f"does not have one list of up to {_RUNGS} maturities")
    if len(set(rungs)) != len(rungs):
        raise _wrong(text, "has a maturity twice")
    bonds = [_bond(text, rung, zero=False) for rung in rungs]
    return lambda state: Ladder(tuple(bond(state) for bond in bonds))


def _future(text: str, parts: list[str]) -> Callable[[State], Instrument]:
    if len(parts) not in (1, 3) or not _SYMBOL.fullmatch(parts[0]):
        raise _wrong(text, "does not have a symbol, or one with a time and a carry")
    tenor = _tenor(text, parts[1], 10) if len(parts) == 3 else None
    carry = _percent(text, parts[2], "carry") if len(parts) == 3 else 0.0

    def bound(state: State) -> Instrument:
        spot = _underlying(text, parts[0], state, ("commodity",))
        ends = tenor.after(state.on) if tenor else None
        loose = Future(parts[0], 0.0, carry, ends)
        return Future(parts[0], loose.price(spot, state.on), carry, ends)

    return bound


def _option(text: str, parts: list[str]) -> Callable[[State], Instrument]:
    if len(parts) != 4 or not _SYMBOL.fullmatch(parts[0]):
        raise _wrong(text, "does not have a symbol, P or C, a strike and a time")
    symbol, right, strike, time = parts
    if right not in ("P", "C"):
        raise _wrong(text, f"has the right {right!r}, which is neither P (put) nor C (call)")
    number = strike.removesuffix("%")
    if not _NUMBER.fullmatch(number) or float(number) <= 0 or (strike.endswith("%") and not 1 <= float(number) <= 1000):
        raise _wrong(text, f"has the strike {strike!r}, which is neither 1% to 1000% nor a price above 0")
    tenor = _tenor(text, time, 5)

    def bound(state: State) -> Instrument:
        spot = _underlying(text, symbol, state, ("equity", "etf", "index"))
        level = spot * float(number) / 100 if strike.endswith("%") else float(number)
        made = Option(
            symbol, "put" if right == "P" else "call", level, tenor.after(state.on), state.sectors.get(symbol, "")
        )
        made.value(state)  # says now what it lacks: VIX, yields, history
        return made

    return bound


def _underlying(text: str, symbol: str, state: State, kinds: tuple[str, ...]) -> float:
    fitting = [name for name, kind in state.kinds.items() if kind in kinds]
    if symbol not in fitting:
        raise UnknownName(f"underlying of {text.partition(':')[0]} in this scenario", symbol, fitting)
    return state.value(symbol)


_KINDS: dict[str, Callable[[str, list[str]], Callable[[State], Instrument]]] = {
    "FX": _currency,
    "FXFWD": _forward,
    "UST": _one_bond,
    "ZERO": _one_bond,
    "UST_LADDER": _ladder,
    "FUT": _future,
    "OPT": _option,
}
