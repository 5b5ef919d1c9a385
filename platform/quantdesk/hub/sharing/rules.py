"""Who may give his server to whom. Pure.

Whoever is on a server acts as its owner, and the pages of a server can act in the name of whoever looks at them. So
neither side may have rights on the platform that the other has not: who may only look is given no server, and nobody
gives his to somebody who may do more than he.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["RUN", "may_share", "refusal", "rights"]

_OURS = "custom:quantdesk:"
RUN = f"{_OURS}run"
"""What a quant may and a viewer may not."""


def rights(scopes: Iterable[str]) -> frozenset[str]:
    """Those scopes of the hub that are rights on the platform."""
    return frozenset(scope for scope in scopes if scope.startswith(_OURS))


def may_share(own: frozenset[str]) -> bool:
    """Whether somebody with these rights may give his server to others at all.

    >>> may_share(frozenset({"custom:quantdesk:read"}))
    False
    """
    return RUN in own


def refusal(own: frozenset[str], other: frozenset[str], name: str) -> tuple[str, str] | None:
    """Why a server is not given to somebody, and what would help; None where it may be.

    Parameters
    ----------
    own
        Rights of the owner.
    other
        Rights of who would get it.
    name
        Of the latter, for the sentence.

    >>> quant = frozenset({"custom:quantdesk:read", "custom:quantdesk:run"})
    >>> refusal(quant, quant, "bob")
    >>> refusal(quant, quant | {"custom:quantdesk:trade"}, "tom")[0]
    'tom may do more on this platform than you.'
    """
    if not may_share(own):
        return "Who may only look shares no server.", "Ask an administrator for the role of a quant."
    if RUN not in other:
        return (
            f"{name} may only look on this platform, and code runs on a server.",
            "Share a report, or ask an administrator for another role.",
        )
    if not other <= own:
        return (
            f"{name} may do more on this platform than you.",
            f"Pages of your server could act in the name of {name}: have {name} share a server with you instead.",
        )
    return None
