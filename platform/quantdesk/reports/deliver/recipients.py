"""To whom a report goes, as its declaration names them. Pure.

::

    ana@example.org     e-mail
    #risk               the webhook that the settings call "risk"

A declaration names webhooks and never addresses of them: those are secrets, and a notebook that could name one could
make this machine talk to a place of its choice. Where no mail server or no such webhook is configured, as on a laptop,
what would have been sent is written into a folder, and the record says that it is a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address

from quantdesk.errors import BadInput

__all__ = ["CHANNELS", "EMAIL", "FILE", "WEBHOOK", "Recipient", "is_address", "recipient"]

EMAIL, WEBHOOK, FILE = "email", "webhook", "file"
CHANNELS = (EMAIL, WEBHOOK, FILE)
"""Ways to deliver, as the ledger names them."""

# What mail servers take without quoting. Quoted local parts are legal, rare, and the classic way to smuggle commands.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_MAIL = re.compile(rf"{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True)
class Recipient:
    """One address, and the way to it.

    Attributes
    ----------
    channel
        One of :data:`CHANNELS`.
    target
        A mail address, or ``#`` and the name of a webhook; also of what goes to a file instead.
    """

    channel: str
    target: str


def is_address(text: str) -> bool:
    """Whether `text` is one plain mail address: no name beside it, no quotes, no line break, ASCII."""
    if len(text) > 254 or len(text.rpartition("@")[0]) > 64 or not _MAIL.fullmatch(text):
        return False
    try:
        return Address(addr_spec=text).addr_spec == text
    except (MessageError, ValueError, IndexError):
        return False


def recipient(text: str) -> Recipient:
    """The recipient that a text names. Whether a mail address is one that can be used turns out when it is.

    Raises
    ------
    BadInput
        It names none.
    """
    if text.isprintable() and len(text) <= 320:
        if re.fullmatch(r"#[a-z0-9][a-z0-9_-]{0,79}", text):
            return Recipient(WEBHOOK, text)
        if "@" in text.strip("@"):
            return Recipient(EMAIL, text)
    raise BadInput(
        f"{text[:80]!a} is no recipient.",
        "Write a mail address such as ana@example.org, or a channel such as #risk.",
    )
