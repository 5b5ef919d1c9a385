"""The address of a database, ``postgresql://user:password@host:5432/database``, taken apart. Pure.

The password is held apart from everything that is ever shown. An address that cannot be read is described without the
parts that could be a piece of the password: one that was written unescaped ends up in the host, the port or the path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import SecretStr

from quantdesk.errors import BadInput

__all__ = ["Address", "parse"]

_SCHEMES = ("postgresql", "postgres")
_FORM = "Give postgresql://user:password@host:5432/database."
_ESCAPE = f"{_FORM} Special characters in the password must be escaped: urllib.parse.quote(password, safe='')."
_OPTIONS = (
    "application_name",
    "connect_timeout",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
)


@dataclass(frozen=True)
class Address:
    """Where a database is, and who asks.

    Attributes
    ----------
    host, port, database, user
        As libpq means them.
    password
        None where libpq shall find it itself, in ``~/.pgpass`` or ``PGPASSWORD``.
    options
        What followed ``?``: TLS and the like.
    """

    host: str
    port: int
    database: str
    user: str
    password: SecretStr | None = field(default=None, repr=False)
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The address without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{quote(self.user, safe='')}@{host}:{self.port}/{quote(self.database, safe='')}"

    def without(self, text: str) -> str:
        """A text with the password struck out, however it is written."""
        secret = self.password.get_secret_value() if self.password else ""
        for shape in {secret, quote(secret), quote(secret, safe="")} - {""}:
            text = text.replace(shape, "***")
        return text

    def parameters(self) -> dict[str, str | int]:
        """What libpq needs to connect, password included: to be handed on, never to be shown."""
        given: dict[str, str | int] = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "connect_timeout": 10,
            "application_name": "quantdesk",
            **dict(self.options),
        }
        if self.password is not None:
            given["password"] = self.password.get_secret_value()
        return given


def parse(url: str | SecretStr, what: str = "A database") -> Address:
    """Take an address apart.

    Parameters
    ----------
    url
        ``postgresql://user:password@host:5432/database``.
    what
        What is to be kept there, for the message about a scheme that is not PostgreSQL's.

    Raises
    ------
    BadInput
        It is no address of a PostgreSQL database, or a part is missing or malformed.
    """
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    if not isinstance(text, str):
        raise BadInput(f"The address of the database is a {type(text).__name__}.", _FORM)
    scheme, divider, rest = text.partition("://")
    if not divider:
        raise BadInput("The address of the database has no scheme.", _FORM)
    if scheme.lower() not in _SCHEMES:
        raise BadInput(f"{what} behind a {scheme[:30]!r} address is not supported.", _FORM)
    try:
        parts = urlsplit(f"postgresql://{rest}")
    except ValueError:
        raise BadInput("The address of the database cannot be read.", _ESCAPE) from None
    who, at, where = parts.netloc.rpartition("@")
    # A slash, a question mark or a hash sign in a password ends the host part early: then nothing here may be shown.
    if not at or "@" in parts.path + parts.query + parts.fragment or parts.fragment:
        raise BadInput("The address of the database names no user, or is not escaped.", _ESCAPE)
    user, colon, password = who.partition(":")
    if not user:
        raise BadInput("The address of the database names no user.", _FORM)
    host, port = _place(where)
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in parts.path.removeprefix("/"):
        raise BadInput(f"The address of the database on {host} names no database.", _FORM)
    values = {"user": unquote(user), "password": unquote(password), "host": host, "database": database}
    for name, value in values.items():
        if "\0" in value or (name != "password" and not value.isprintable()):
            raise BadInput(f"The {name} in the address of the database holds a control character.", _ESCAPE)
    secret = SecretStr(values["password"]) if colon else None
    return Address(host, port, database, values["user"], secret, _options(parts.query))


def _place(where: str) -> tuple[str, int]:
    host, bracket, tail = where.partition("]") if where.startswith("[") else (where.partition(":")[0], "", "")
    port = tail.removeprefix(":") if bracket else where.partition(":")[2]
    host = unquote(host.removeprefix("["))
    if not host:
        raise BadInput("The address of the database names no host.", _FORM)
    if not port and not where.endswith(":"):
        return host, 5432
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise BadInput(f"The port {port!r} in the address of the database on {host} is no port.", _FORM)
    return host, int(port)


def _options(query: str) -> tuple[tuple[str, str], ...]:
    given = tuple(parse_qsl(query, keep_blank_values=True))
    for name, _ in given:
        if name not in _OPTIONS:
            raise BadInput(
                f"The address of the database has the option {name[:40]!r}.", f"Known: {', '.join(_OPTIONS)}."
            )
    return given
