"""A message as an e-mail: text, HTML, and the page of the run attached where it is small enough. Pure."""

from __future__ import annotations

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from quantdesk.reports.deliver.message import Message, one_line
from quantdesk.reports.deliver.recipients import is_address

__all__ = ["email_of", "packed"]

HOST = "quantdesk.invalid"
"""Right-hand side of Message-IDs where the sender has none that fits: a name that no host can have (RFC 2606)."""


def email_of(message: Message, *, sender: str, page: bytes | None = None) -> EmailMessage:
    """Build the mail. Equal arguments give equal bytes.

    Parameters
    ----------
    message
        To a mail address, or to the folder.
    sender
        A mail address.
    page
        The HTML page to attach; None to leave it out.

    Returns
    -------
    EmailMessage
        With a Message-ID that is the same at each attempt, so that a mail server or a reader can tell a repetition.
    """
    mail = EmailMessage(policy=SMTP)
    mail["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2] or HOST}>"
    mail["Date"] = format_datetime(message.at)
    mail["From"] = Address("quantdesk", addr_spec=sender)
    mail["To"] = _to(message.to.target)
    mail["Subject"] = one_line(message.subject, 200)
    # No out-of-office answers, please (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    left_out = "" if page is not None or message.page is None else "\nThe page is too large to attach.\n"
    mail.set_content(message.text + left_out)
    mail.add_alternative(message.html, subtype="html")
    # The library rolls dice for the boundary, which would make each attempt another text.
    mail.set_boundary(f"alternative-{message.id}")
    if page is not None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", message.run_id)[:100].strip("-.") or "report"
        mail.add_attachment(page, maintype="text", subtype="html", filename=f"{name}.html")
        mail.set_boundary(f"mixed-{message.id}")
    return mail


def _to(target: str) -> Address:
    """A mail address as it is; for a file, whatever it would have gone to, as a name that cannot be an address."""
    return Address(addr_spec=target) if is_address(target) else Address(one_line(target, 80), "nobody", HOST)


def packed(mail: EmailMessage) -> bytes:
    """The bytes that go over the wire, lines ended as SMTP wants, eight-bit text encoded."""
    return mail.as_bytes(policy=SMTP.clone(cte_type="7bit"))
