"""Somebody as the directory or the provider knows him, and how a login can fail. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from quantdesk.errors import QuantdeskError

__all__ = ["Gone", "LoginOver", "LoginRefused", "Person", "Unreachable"]


@dataclass(frozen=True)
class Person:
    """Who somebody is upstream.

    Attributes
    ----------
    source
        Which directory or provider says so.
    subject
        What stays the same there, whatever the name.
    name
        The name there.
    groups
        The groups there.
    """

    source: str
    subject: str
    name: str
    groups: tuple[str, ...] = ()


class LoginRefused(QuantdeskError):
    """Nobody is let in; the message is for the person at the browser.

    Parameters
    ----------
    problem, remedy
        Two sentences.
    status
        Of the answer: 400 for a login that was begun elsewhere, 403, 429, 503.
    """

    def __init__(self, problem: str, remedy: str = "", status: int = 403) -> None:
        super().__init__(problem, remedy)
        self.status = status


class Unreachable(LoginRefused):
    """The directory or the provider does not answer, or not in a way that means anything: nothing is known.

    Parameters
    ----------
    problem, remedy
        Two sentences.
    of_one
        Whether it is about one person alone, so that there is no need to spare the others the waiting.
    """

    def __init__(
        self,
        problem: str,
        remedy: str = "Try again in a moment; who is logged in goes on.",
        *,
        of_one: bool = False,
    ) -> None:
        super().__init__(problem, remedy, 503)
        self.of_one = of_one


class LoginOver(LoginRefused):
    """What was given as a proof is not to be believed, or not any more: log in again."""


class Gone(LoginRefused):
    """There is no such person any more."""
