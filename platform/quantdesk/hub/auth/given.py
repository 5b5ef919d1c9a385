"""What a setting may be: in its range, an address, a file, a secret. An edge module: it reads files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

from quantdesk.errors import BadParameter

__all__ = ["loopback", "needed", "read", "secret_of", "web_address", "whole"]

Config = TypeVar("Config", bound=BaseSettings)


def loopback(host: str | None) -> bool:
    """Whether a host is this machine, so that nobody in between can listen."""
    return host in ("localhost", "127.0.0.1", "::1")


def read(kind: type[Config], given: dict[str, object]) -> Config:
    """The settings of one kind, from the environment and what is given by name.

    Raises
    ------
    BadParameter
        A value is out of range or of the wrong type; the message names the variable, and repeats no secret.
    """
    try:
        return kind(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"])
        prefix = str(kind.model_config["env_prefix"])
        variable = name if name.startswith(prefix) else f"{prefix}{name}".upper()
        shown = "" if _is_secret(kind, name) else f" ({_raw(error)})"
        raise BadParameter(f"{variable} will not do{shown}.", f"{first['msg']}.") from None


def _is_secret(kind: type[BaseSettings], name: str) -> bool:
    """Whether a setting, by its name or its variable's, is one that nobody may see: also when there is none such."""
    fields = kind.model_fields
    found = fields.get(name) or next((one for one in fields.values() if one.validation_alias == name), None)
    return found is None or "SecretStr" in str(found.annotation)


def _raw(error: ValidationError) -> str:
    return repr(error.errors()[0]["input"])[:100]


def needed(config: Any, *names: str) -> None:
    """Check that settings are there.

    Raises
    ------
    BadParameter
        One is not.
    """
    for name in names:
        if not getattr(config, name):
            variable = f"{config.model_config['env_prefix']}{name}".upper()
            raise BadParameter(
                f"{variable} is not set.", "This way to log in needs it: see docs/how-to/choose-a-login.md."
            )


def whole(config: Any, *names: str) -> None:
    """Check that files are named from the root on: the hub and what starts it work in different folders.

    Raises
    ------
    BadParameter
        One is not.
    """
    for name in names:
        path = getattr(config, name)
        if path is not None and not path.is_absolute():
            variable = f"{config.model_config['env_prefix']}{name}".upper()
            raise BadParameter(f"{variable} is {str(path)[:200]!r}.", "Give the whole path, from / on.")


def web_address(url: str, variable: str) -> None:
    """An address of the web, encrypted unless it is this machine's.

    Raises
    ------
    BadParameter
        It is none.
    """
    try:
        parts = urlsplit(url)
        fine = bool(parts.hostname) and not (parts.username or parts.password or parts.query or parts.fragment)
        fine = fine and (parts.scheme == "https" or (parts.scheme == "http" and loopback(parts.hostname)))
        fine = fine and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine:
        shown = "an address with a password" if "@" in url else repr(url[:200])
        raise BadParameter(f"{variable} is {shown}.", "It is https://host, and http:// on this machine alone.")


def secret_of(given: SecretStr, file: Path | None, variable: str) -> str:
    """A secret, wherever it stands; empty where there is none.

    Raises
    ------
    BadParameter
        The file cannot be read.
    """
    if given.get_secret_value() or file is None:
        return given.get_secret_value()
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise BadParameter(f"{variable} names {file}, which cannot be read.", "Correct it, or its mode.") from error
