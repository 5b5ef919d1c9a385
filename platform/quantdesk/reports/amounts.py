"""Numbers for people. Pure."""

from __future__ import annotations

__all__ = ["amount"]


def amount(value: float) -> str:
    """A number with six digits, or all before the point where those are more.

    Examples
    --------
    >>> [amount(value) for value in (250, 0.0123456789, 1234567.8, -1e20)]
    ['250', '0.0123457', '1,234,568', '-1e+20']
    """
    return f"{value:,.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:,.6g}"
