"""What a way to deliver promises: it sends one message, or says whether trying again makes sense. Pure."""

from __future__ import annotations

from typing import Protocol

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.deliver.message import Message

__all__ = ["Channel", "Permanent", "Temporary", "Undelivered"]


class Undelivered(EnvironmentProblem):
    """A message did not arrive. Its words never hold an address of a webhook, or a password."""


class Temporary(Undelivered):
    """Trying again later makes sense: the other side is down, busy, or this machine is set up wrongly.

    Parameters
    ----------
    problem, remedy
        As for every error.
    retry_after_s
        Seconds that the other side asked to wait; None where it did not.
    """

    def __init__(self, problem: str, remedy: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(problem, remedy)
        self.retry_after_s = retry_after_s


class Permanent(Undelivered):
    """The other side refused this message for good."""


class Channel(Protocol):
    """A way to deliver. It blocks for a stated time at most, whatever the other side does."""

    def send(self, message: Message) -> None:
        """Send it.

        Raises
        ------
        Temporary, Permanent
            It did not arrive. After an error that is neither, it may or may not have.
        """
        ...
