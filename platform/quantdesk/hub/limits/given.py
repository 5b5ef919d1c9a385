"""The file of profiles and quotas, TOML or JSON. An edge module: it reads the file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantdesk.errors import BadInput
from quantdesk.hub.limits.quotas import Quota, parse_quotas
from quantdesk.hub.profiles import PROFILES, Profile, parse

__all__ = ["all_in", "profiles_in"]


def profiles_in(path: Path | None) -> tuple[Profile, ...]:
    """The profiles of a file; `PROFILES` without one.

    Raises
    ------
    BadInput
        It cannot be read, or its content cannot be used.
    """
    return PROFILES if path is None else parse(_content(path))


def all_in(path: Path) -> tuple[tuple[Profile, ...], tuple[Quota, ...]]:
    """The profiles of a file and its quotas, of one reading.

    Raises
    ------
    BadInput
        As for `profiles_in`.
    """
    content = _content(path)
    return parse(content), parse_quotas(content)


def _content(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:  # both kinds of text have errors that are ValueErrors
        raise BadInput(f"{path} cannot be read as profiles: {error}.", "Correct QUANTDESK_HUB_PROFILES.") from error
    if not isinstance(content, Mapping):
        raise BadInput(f"{path} holds no table.", "Give a list under the name profiles.")
    return content
