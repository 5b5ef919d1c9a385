"""The key with which the hub encrypts what it keeps of an upstream login. An edge module: a file, 0600.

The hub keeps the provider's tokens, so that it can ask again what somebody may do. They are encrypted in its database;
the key comes from a setting, or is made once and kept beside the database, where only the hub's account reads it. Who
loses it loses no data: everybody logs in again.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from pathlib import Path

from quantdesk.errors import BadParameter, DataError
from quantdesk.hub.config import HubFiles
from quantdesk.records import atomic_write, exclusive

__all__ = ["given_keys", "keys", "read_key"]

_LENGTH = 32


def keys(given: str, files: HubFiles) -> list[bytes]:
    """The keys, that of today first; the others still open what they closed.

    Parameters
    ----------
    given
        The setting: 32 bytes each, as hexadecimal or base64, separated by semicolons. Empty takes the file.
    files
        Where the hub keeps its files.

    Raises
    ------
    BadParameter
        The setting is no such key; the message does not repeat it.
    DataError
        The file is damaged.
    """
    return given_keys(given) or [_kept(files.root / "crypt_key")]


def given_keys(text: str) -> list[bytes]:
    """The keys of the setting; none where it is empty.

    Raises
    ------
    BadParameter
        One of them is none; the message does not repeat it.
    """
    found = [read_key(part) for part in text.split(";") if part.strip()]
    if None in found:
        raise BadParameter(
            "QUANTDESK_LOGIN_CRYPT_KEY is no key.",
            "It has 32 random bytes as 64 hexadecimal digits (openssl rand -hex 32); semicolons separate several.",
        )
    return [key for key in found if key]


def read_key(text: str) -> bytes | None:
    """A key as bytes; None when it is none."""
    text = text.strip()
    try:
        if len(text) == 2 * _LENGTH:
            return bytes.fromhex(text)
        key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error):
        return None
    return key if len(key) == _LENGTH else None


def _kept(path: Path) -> bytes:
    with exclusive(path.with_suffix(".lock"), timeout=30):
        try:
            text = path.read_text()
        except FileNotFoundError:
            text = secrets.token_hex(_LENGTH)
            with atomic_write(path, mode=0o600) as temporary:
                temporary.write_text(text + "\n")
        except ValueError:
            text = ""
        key = read_key(text)
    if key is None:
        raise DataError(
            f"{path} is damaged: it holds no key.",
            "Restore it from a backup, or remove it: another one is made, and everybody logs in again.",
        )
    path.chmod(0o600)
    return key
