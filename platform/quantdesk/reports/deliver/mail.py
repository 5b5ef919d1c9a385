"""E-mail by SMTP. An edge module: it talks to a mail server.

TLS is required unless it is turned off, certificates and names are checked, and a password is never sent without TLS to
another machine. Every read and write has a time limit and the whole exchange has one, too: a server that answers a byte
at a time is cut off.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import SecretStr

from quantdesk.errors import BadInput
from quantdesk.reports.deliver.channel import Permanent, Temporary, Undelivered
from quantdesk.reports.deliver.message import Message, one_line
from quantdesk.reports.deliver.mime import email_of, packed
from quantdesk.reports.deliver.recipients import is_address

__all__ = ["Mail", "MailServer", "read_page"]

_FORM = "Write smtp://user:password@host:587 or smtps://user:password@host:465, with %XX for signs that mean something."
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in.

    Attributes
    ----------
    host, port
        The server.
    tls
        ``starttls`` (the line is made safe before anything is said), ``tls`` (it is from the beginning), ``off``.
    user, password
        Of the account; None for a server that asks for none.
    """

    host: str
    port: int
    tls: str
    user: str | None = None
    password: SecretStr | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: SecretStr) -> MailServer:
        """Take ``smtp://`` (port 587) or ``smtps://`` (port 465) apart; ``?tls=off`` turns STARTTLS off.

        Raises
        ------
        BadInput
            It is no address of a mail server, or would send a password in the clear. The message holds no secret.
        """
        try:
            parts = urlsplit(url.get_secret_value().strip())
            host, port = parts.hostname, parts.port
            options = parse_qs(parts.query, strict_parsing=bool(parts.query))
        except ValueError:
            raise BadInput("The address of the mail server cannot be read.", _FORM) from None
        if parts.scheme not in {"smtp", "smtps"} or not host or parts.path.strip("/") or parts.fragment:
            raise BadInput("The address of the mail server cannot be read.", _FORM)
        if not set(options) <= {"tls"} or options.get("tls", ["required"]) not in (["required"], ["off"]):
            raise BadInput("The address of the mail server has an option that is not known.", "It may have ?tls=off.")
        off = options.get("tls") == ["off"]
        if parts.scheme == "smtps" and off:
            raise BadInput("smtps:// with tls=off contradicts itself.", "Write smtp://...?tls=off.")
        if parts.password is not None and off and host not in _LOOPBACK:
            raise BadInput(f"A password would go to {host} without TLS.", "Leave out tls=off, or the password.")
        return cls(
            host=host,
            port=port or (465 if parts.scheme == "smtps" else 587),
            tls="off" if off else "tls" if parts.scheme == "smtps" else "starttls",
            user=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else SecretStr(unquote(parts.password)),
        )


def read_page(path: str, largest: int) -> bytes | None:
    """The page of a run; None when it has more than `largest` bytes, or is not there any more."""
    try:
        if Path(path).stat().st_size > largest:
            return None
        return Path(path).read_bytes()
    except OSError:
        return None


class Mail:
    """The channel ``email``.

    Parameters
    ----------
    server
        Where mail is handed in.
    sender
        The address in From, and the one that is told of bounces.
    attach_bytes
        Pages above it are linked and not attached. A server that allows less is heeded.
    timeout_s
        Seconds for one answer of the server.
    total_s
        Seconds for everything.
    ca_file
        Certificates to trust in place of the system's.
    read
        Reads a page: :func:`read_page`, or one for a store elsewhere.
    """

    def __init__(
        self,
        server: MailServer,
        sender: str,
        *,
        attach_bytes: int = 10_000_000,
        timeout_s: float = 15.0,
        total_s: float = 60.0,
        ca_file: Path | None = None,
        read: Callable[[str, int], bytes | None] = read_page,
    ) -> None:
        if not is_address(sender):
            raise BadInput(f"{sender[:80]!a} is no sender.", "Set QUANTDESK_DELIVERY_SENDER to a mail address.")
        self._server, self._sender, self._attach_bytes, self._read = server, sender, attach_bytes, read
        self._timeout_s, self._total_s = timeout_s, total_s
        self._context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))

    def send(self, message: Message) -> None:
        """Hand the mail to the server. See :class:`~quantdesk.reports.deliver.channel.Channel`."""
        if not is_address(message.to.target):
            raise Permanent(f"{message.to.target[:80]!a} is no mail address.")
        try:
            with self._session() as session:
                self._hand_in(session, message)
        except Undelivered:
            raise
        except smtplib.SMTPResponseException as error:
            raise _refused(self._server, error.smtp_code, error.smtp_error, isinstance(error, _OURS)) from error
        except (smtplib.SMTPException, OSError, EOFError) as error:
            raise Temporary(f"The mail server {self._server} fails ({_reason(error)}).") from error

    def _hand_in(self, session: smtplib.SMTP, message: Message) -> None:
        allowed = session.esmtp_features.get("size", "")
        largest = int(allowed) if allowed.isdecimal() and int(allowed) > 0 else None
        limit = self._attach_bytes if largest is None else min(self._attach_bytes, int(largest * 0.7))
        page = None if message.page is None else self._read(message.page, limit)
        content = packed(email_of(message, sender=self._sender, page=page))
        try:
            session.sendmail(self._sender, [message.to.target], content)
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            raise _refused(self._server, code, said, False) from error

    @contextlib.contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """A connection that is greeted, safe and logged in, and that ends when the time is over."""
        direct = self._server.tls == "tls"
        session = (
            smtplib.SMTP_SSL(timeout=self._timeout_s, context=self._context)
            if direct
            else smtplib.SMTP(timeout=self._timeout_s)
        )
        # Python checks a certificate against this name; it is set by the constructor only when that connects, too.
        session._host = self._server.host  # type: ignore[attr-defined]
        expired, done = threading.Event(), threading.Event()
        threading.Thread(target=self._guard, args=(session, expired, done), name="mail", daemon=True).start()
        try:
            session.connect(self._server.host, self._server.port)
            session.ehlo_or_helo_if_needed()
            if self._server.tls == "starttls":
                if not session.has_extn("starttls"):
                    raise Temporary(
                        f"The mail server {self._server} offers no STARTTLS.",
                        "Use smtps://, or smtp://...?tls=off where the line itself is safe.",
                    )
                session.starttls(context=self._context)
                session.ehlo_or_helo_if_needed()
            if self._server.user is not None and self._server.password is not None:
                session.login(self._server.user, self._server.password.get_secret_value())
            yield session
        except (smtplib.SMTPException, OSError, EOFError) as error:
            if expired.is_set():
                raise Temporary(f"The mail server {self._server} took more than {self._total_s:g} s.") from error
            raise
        finally:
            # The mail is handed in, or is not: what the server says to a farewell changes nothing, nor may it hold us.
            done.set()
            with contextlib.suppress(smtplib.SMTPException, OSError):
                if session.sock is not None:
                    session.sock.settimeout(1.0)
                    session.putcmd("quit")
            session.close()

    def _guard(self, session: smtplib.SMTP, expired: threading.Event, done: threading.Event) -> None:
        """Cut the line when the time is over, again and again: it may be made only after that."""
        if done.wait(self._total_s):
            return
        expired.set()
        while not done.wait(0.1):
            if session.sock is not None:
                with contextlib.suppress(OSError):
                    session.sock.shutdown(socket.SHUT_RDWR)


_OURS = (smtplib.SMTPAuthenticationError, smtplib.SMTPHeloError, smtplib.SMTPConnectError)
"""Refusals of this machine or its account rather than of one message: whoever puts them right wants it sent."""


def _refused(server: MailServer, code: int, said: bytes | str, ours: bool) -> Undelivered:
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    problem = f"The mail server {server} answers {code} ({one_line(words, 200)})."
    # RFC 5321, section 4.2.1: 4yz asks to try again, 5yz not to. -1 is a line that was cut.
    if 500 <= code < 600 and not ours:
        return Permanent(problem)
    return Temporary(problem, "Check user and password." if ours else "")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    # smtplib says of a time limit that the connection was closed.
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        return "no answer in time"
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__, 200)
