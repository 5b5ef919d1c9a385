"""One halt with its whole life, and what its codes mean. Pure."""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from typing import Any

from quantdesk.errors import DataError
from quantdesk.orders.amounts import nanoseconds

__all__ = ["FeedError", "Halt", "code_of", "is_resumption", "market_of", "meaning", "severity"]


class FeedError(DataError):
    """What came is not the feed: a page for people, a half of a file, a schema that has changed.

    It says nothing about halts, and least of all that there are none: whoever catches it answers UNKNOWN.
    """


@dataclass(frozen=True, slots=True)
class Halt:
    """A halt from its beginning to its end, as far as that is known.

    Attributes
    ----------
    symbol
        In the form of :func:`~quantdesk.orders.symbols.canonical`.
    halted_at
        When it began; aware, UTC. The feed of New York has whole seconds, that of Nasdaq often milliseconds.
    code
        Why (``T1``, ``LUDP``): the first code that halts. Feeds replace it by that of the resumption (``T3``), which
        stands here only where no other was seen. What the feed wrote, in capitals, where it is no code of ours.
    latest
        The code that the feed gives now.
    name
        Of the security.
    exchange
        MIC of the listing exchange; what the feed wrote where we do not know it.
    quoting_resumes_at, trading_resumes_at
        When quotes and trades go on, announced or past; None where no time was given. Aware, UTC.
    threshold
        Price at which a volatility pause set in, in dollars, or None.
    continued
        The feed says "See Subsequent Halt": it did not end, another halt followed it.
    sources
        Which feeds say so: ``nasdaq``, ``nyse``.
    remark
        What in the feed was not believed, and why; empty as a rule.
    """

    symbol: str
    halted_at: dt.datetime
    code: str
    latest: str
    name: str = ""
    exchange: str = ""
    quoting_resumes_at: dt.datetime | None = None
    trading_resumes_at: dt.datetime | None = None
    threshold: Decimal | None = None
    continued: bool = False
    sources: tuple[str, ...] = field(default=())
    remark: str = ""

    @property
    def means(self) -> str:
        """What its code means."""
        return meaning(self.code)

    def is_halted(self, at: dt.datetime) -> bool:
        """Whether it holds at a moment: it has begun, and no resumption of trading was given for then or before."""
        return self.halted_at <= at and (self.trading_resumes_at is None or at < self.trading_resumes_at)

    def to_dict(self) -> dict[str, Any]:
        """Text, for a journal and for JSON; :meth:`from_dict` takes it back."""

        def text(at: dt.datetime | None) -> str | None:
            return None if at is None else at.isoformat()

        return {
            "symbol": self.symbol,
            "halted_at": text(self.halted_at),
            "code": self.code,
            "latest": self.latest,
            "name": self.name,
            "exchange": self.exchange,
            "quoting_resumes_at": text(self.quoting_resumes_at),
            "trading_resumes_at": text(self.trading_resumes_at),
            "threshold": None if self.threshold is None else str(self.threshold),
            "continued": self.continued,
            "sources": list(self.sources),
            "remark": self.remark,
        }

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Halt:
        """From what :meth:`to_dict` gave.

        Raises
        ------
        DataError
            It is not that.
        """
        try:
            times = {
                key: None if given[key] is None else dt.datetime.fromisoformat(given[key])
                for key in ("halted_at", "quoting_resumes_at", "trading_resumes_at")
            }
            for at in times.values():
                if at is not None:
                    nanoseconds(at)  # refuses a time without a zone
            threshold = None if given["threshold"] is None else Decimal(given["threshold"])
            return cls(**{**given, **times, "threshold": threshold, "sources": tuple(given["sources"])})
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise DataError(f"{str(given)[:120]} is no halt ({error}).", "Give what Halt.to_dict gave.") from error


@lru_cache(maxsize=1)
def _codes() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("codes.toml").read_text(encoding="utf-8"))


def meaning(code: str) -> str:
    """What a code means, in words; that it is unknown, where it is."""
    codes = _codes()
    if code in codes["halts"]:
        return str(codes["halts"][code]["meaning"])
    return str(codes["resumptions"].get(code, f"a code that quantdesk does not know ({code})"))


def severity(code: str) -> int:
    """How serious a code is, from 1 (a pause that ends by itself) to 5 (the whole market); 3 for an unknown one."""
    return int(_codes()["halts"].get(code, {"severity": 3})["severity"])


def is_resumption(code: str) -> bool:
    """Whether a code tells of a resumption and not of a reason."""
    return code in _codes()["resumptions"]


def code_of(reason: str) -> str:
    """The code that goes with a reason in words; the words themselves, in capitals, where there is none."""
    plain = " ".join(reason.split())
    return str(_codes()["reasons"].get(plain.lower(), plain.upper()))


def market_of(name: str) -> str:
    """The MIC of a market as the feeds name it; the name itself where it is not known."""
    plain = " ".join(name.split())
    return str(_codes()["markets"].get(plain.lower(), plain))
