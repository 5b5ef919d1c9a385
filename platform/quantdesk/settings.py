"""The settings file: ``quantdesk.toml`` becomes environment for the processes that quantdesk launches. An edge module.

Every edge module reads its own few ``QUANTDESK_*`` variables, so a notebook, a service and a command agree. This module
only fills them in from a file, once, at the start of a command; what is already in the environment wins. Nothing
but the command line imports it.

The file is looked up as ``QUANTDESK_CONFIG``, else ``quantdesk.toml`` in the current directory, else beside
``jupyterhub_config.py``. Its keys are those of `KEYS`, at the top level.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from quantdesk.errors import BadInput, BadParameter, UnknownName
from quantdesk.home import checkout

__all__ = ["KEYS", "apply", "find", "load"]

#: Each key of the file, the type of its value, and what it means.
KEYS: Mapping[str, tuple[type, str]] = {
    "state": (str, "directory that holds data, features, reports, homes and the hub's own files"),
    "notebooks": (str, "directory of the report notebooks"),
    "port": (int, "port of the hub on 127.0.0.1"),
    "admin": (str, "name of the first administrator"),
    "idle_timeout": (int, "seconds after which an idle server is stopped"),
    "collaboration": (bool, "switch on real-time collaboration in JupyterLab"),
    "service": (bool, "run the hub's service: the gallery of reports and the API"),
    "worker": (bool, "run the worker of reports beside the hub"),
    "members": (str, "hub users who may read and run; everybody when empty"),
    "traders": (str, "hub users who may send orders"),
    "database": (str, "PostgreSQL database of the hub, the ledgers and the feature store; files when left out"),
    "redis": (str, "Redis of the online store and of the counts of requests"),
}


def find(environment: Mapping[str, str]) -> Path | None:
    """The settings file that applies, or None when there is none.

    Raises
    ------
    BadInput
        ``QUANTDESK_CONFIG`` names a file that is not there.
    """
    named = environment.get("QUANTDESK_CONFIG")
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise BadInput(f"QUANTDESK_CONFIG names {named}, which is not a file.", "Correct it or unset it.")
        return path
    folders = [Path.cwd(), checkout()]
    return next((path for folder in folders if folder and (path := folder / "quantdesk.toml").is_file()), None)


def load(path: Path) -> dict[str, str]:
    """Read a settings file as environment variables.

    Raises
    ------
    BadInput
        The file is not TOML, or cannot be read.
    UnknownName
        A key is none of `KEYS`.
    BadParameter
        A value has the wrong type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path} cannot be read as TOML: {error}.", "Correct that line.") from error
    exported: dict[str, str] = {}
    for key, value in content.items():
        if key not in KEYS:
            raise UnknownName(f"setting in {path}", key, KEYS)
        kind, meaning = KEYS[key]
        if type(value) is not kind:
            raise BadParameter(f"{path}: {key} = {value!r} is no {kind.__name__}.", f"It is the {meaning}.")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if key in {"state", "notebooks"}:
            text = str((path.parent / Path(text).expanduser()).resolve())
        exported[f"QUANTDESK_{key.upper()}"] = text
    return exported


def apply(environment: MutableMapping[str, str] = os.environ) -> Path | None:
    """Fill `environment` from the settings file, and return that file. What is set already wins."""
    path = find(environment)
    if path is not None:
        for name, value in load(path).items():
            environment.setdefault(name, value)
    return path
