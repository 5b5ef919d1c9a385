"""An LDAP directory: look somebody up, check a password, ask for the groups. An edge module: the network.

Every call may wait, so none is made in the hub's own thread, and each has its time: to connect, and for every answer.
Certificates are checked; no referral is followed; nothing is written. What the directory says is one of three things:
somebody, nobody, or nothing that means anything (`Unreachable`), which never counts as nobody.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars

from quantdesk.hub.auth.config import LdapConfig
from quantdesk.hub.auth.person import Unreachable

__all__ = ["Checked", "Directory", "Entry"]

_NUMBERS = ("entryUUID", "objectGUID", "ipaUniqueID", "nsUniqueId")
"""Attributes of which a directory has one, and which stay the same for as long as an entry is there."""
_SUCCESS, _TOO_MANY, _NO_SUCH, _WRONG_PASSWORD = 0, 4, 32, 49
#: The server refuses to check: an account that is locked, a password that has expired.
_NOT_WITH_IT = frozenset({_WRONG_PASSWORD, 19, 50, 53})
_MOST_GROUPS = 5000


@dataclass(frozen=True)
class Entry:
    """Somebody in the directory.

    Attributes
    ----------
    dn
        The distinguished name.
    name
        The value of the attribute that people type in.
    subject
        What stays the same; the hash of the distinguished name where the directory has no such number.
    """

    dn: str
    name: str
    subject: str


class Checked(ldap3.Tls):  # type: ignore[misc]
    """Encryption whose certificate and whose name Python itself checks; ldap3's own way is one that Python gave up."""

    def wrap_socket(self, connection: Any, do_handshake: bool = True) -> None:
        """Encrypt what is said on a connection from now on."""
        context = ssl.create_default_context(cafile=self.ca_certs_file)
        connection.socket = context.wrap_socket(
            connection.socket, do_handshake_on_connect=do_handshake, server_hostname=connection.server.host
        )


class Directory:
    """One directory.

    Parameters
    ----------
    config
        Where it is, and how it is laid out.
    timeout
        Seconds for each answer.
    """

    def __init__(self, config: LdapConfig, timeout: float) -> None:
        self._config, self._timeout = config, timeout
        self._password = config.secret or None
        parts = urlsplit(config.url)
        self._host, self._encrypted = str(parts.hostname), parts.scheme == "ldaps"
        self._port = parts.port or (636 if self._encrypted else 389)

    def find(self, name: str) -> tuple[Entry, tuple[str, ...]] | None:
        """Somebody by the name that he types in, and the names of his groups; None when there is nobody.

        A group counts by its name and by its whole distinguished name.

        Raises
        ------
        Unreachable
            The directory does not answer, or refuses to; or the name is not one person's.
        """
        with self._connection(self._config.bind_dn or None, self._password) as connection:
            wanted = f"({self._config.user_attribute}={escape_filter_chars(name)})"
            if self._config.user_filter:
                wanted = f"(&{wanted}{self._config.user_filter})"
            attributes = [self._config.user_attribute, *_NUMBERS]
            found = self._search(connection, self._config.user_base, wanted, attributes, most=2)
            if not found:
                return None
            if len(found) > 1:
                raise Unreachable(
                    "The directory has this name twice.",
                    "Tell the administrator: the name must be one person's.",
                    of_one=True,
                )
            entry = self._entry(found[0])
            return entry, self._groups(connection, entry)

    def confirm(self, dn: str, password: str) -> bool:
        """Whether a password is that of an entry.

        Raises
        ------
        Unreachable
            The directory does not answer.
        """
        if not password.strip("\0 ") or not dn:  # the directory takes an empty one for nobody in particular
            return False
        with self._connection(None, None, bind=False) as connection:
            connection.user, connection.password, connection.authentication = dn, password, ldap3.SIMPLE
            try:
                if connection.bind():
                    return True
            except (LDAPException, ValueError) as error:
                raise self._silent(error) from None
            code = connection.result["result"]
            if code in _NOT_WITH_IT or code == _NO_SUCH:
                return False
            raise self._silent(connection.result.get("description", code))

    def nobody(self) -> str:
        """A distinguished name that is nobody's, to spend on an unknown name the time that a known one takes."""
        return f"{self._config.user_attribute}=nobody-{secrets.token_hex(8)},{self._config.user_base}"

    def _groups(self, connection: Any, entry: Entry) -> tuple[str, ...]:
        given = {"{dn}": escape_filter_chars(entry.dn), "{name}": escape_filter_chars(entry.name)}
        wanted = re.sub("{dn}|{name}", lambda found: given[found.group()], self._config.group_filter)
        attribute = self._config.group_attribute
        found = self._search(connection, self._config.group_base, wanted, [attribute], most=_MOST_GROUPS)
        names = [name for group in found for name in (*_values(group, attribute), group["dn"])]
        return tuple(dict.fromkeys(names))

    def _entry(self, found: dict[str, Any]) -> Entry:
        names = _values(found, self._config.user_attribute)
        if len(names) != 1:
            raise Unreachable(
                f"The directory has {len(names)} values of {self._config.user_attribute} for this name.",
                "Tell the administrator: QUANTDESK_LOGIN_LDAP_USER_ATTRIBUTE is to have one value.",
                of_one=True,
            )
        for attribute in _NUMBERS:
            raw = _raw(found, attribute)
            if len(raw) == 1:
                number = raw[0].hex() if attribute == "objectGUID" else raw[0].decode("utf-8", "replace")
                return Entry(found["dn"], names[0], f"{attribute} {number}"[:255])
        digest = hashlib.sha256(found["dn"].casefold().encode()).hexdigest()
        return Entry(found["dn"], names[0], f"dn {digest}")

    def _search(
        self, connection: Any, base: str, wanted: str, attributes: list[str], most: int
    ) -> list[dict[str, Any]]:
        try:
            connection.search(base, wanted, ldap3.SUBTREE, attributes=attributes, size_limit=most)
        except (LDAPException, ValueError) as error:
            raise self._silent(error) from None
        code = connection.result["result"]
        if code not in (_SUCCESS, _TOO_MANY):
            raise self._silent(f"{connection.result.get('description', code)} below {base}")
        return [one for one in connection.response or [] if one.get("type") == "searchResEntry"]

    @contextmanager
    def _connection(self, dn: str | None, password: str | None, *, bind: bool = True) -> Iterator[Any]:
        """A connection that is encrypted before anything is said on it, and let go afterwards."""
        tls = Checked(ca_certs_file=str(self._config.ca_file) if self._config.ca_file else None)
        server = ldap3.Server(
            self._host, port=self._port, use_ssl=self._encrypted, tls=tls, get_info=ldap3.NONE,
            connect_timeout=self._timeout,
        )  # fmt: skip
        connection = ldap3.Connection(
            server, user=dn, password=password, receive_timeout=max(1, math.ceil(self._timeout)), auto_referrals=False,
            read_only=True, raise_exceptions=False,
        )  # fmt: skip
        try:
            self._open(connection, bind=bind)
            yield connection
        finally:
            with suppress(LDAPException, OSError):  # it may be gone
                connection.unbind()
            if connection.socket is not None:
                connection.socket.close()

    def _open(self, connection: Any, *, bind: bool) -> None:
        try:
            connection.open()
            if not (self._encrypted or self._config.insecure) and not connection.start_tls():
                raise self._silent(f"no StartTLS ({connection.result['description']})")
            if bind and not connection.bind():
                who = self._config.bind_dn or "nobody in particular"
                raise self._silent(f"{who} may not look people up ({connection.result['description']})")
        except (LDAPException, OSError, ValueError) as error:
            raise self._silent(error) from None

    def _silent(self, why: object) -> Unreachable:
        """What the person at the browser reads; the reason is for the hub's log."""
        error = Unreachable(f"The directory {self._host}, which knows who you are, does not answer.")
        error.__notes__ = [f"{type(why).__name__}: {why}" if isinstance(why, Exception) else str(why)]
        return error


def _raw(found: dict[str, Any], attribute: str) -> list[bytes]:
    """The values of an attribute, however it is spelled."""
    for name, values in (found.get("raw_attributes") or {}).items():
        if name.casefold() == attribute.casefold():
            return [value for value in values if isinstance(value, bytes)]
    return []


def _values(found: dict[str, Any], attribute: str) -> list[str]:
    return [value.decode("utf-8", "replace") for value in _raw(found, attribute)]
