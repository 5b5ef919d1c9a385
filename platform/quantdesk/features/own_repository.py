"""The user's own Feast definitions: the Python files in ``feature_repo/``. An edge module; it imports Feast.

``feast apply`` finds the objects at the top level of each file; this module finds the same ones, without changing the
working directory, for :meth:`quantdesk.features.FeatureStore.apply`. The files are run.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView
from feast.data_source import DataSource
from feast.repo_config import RepoConfig
from feast.repo_operations import get_repo_files

from quantdesk.errors import BadInput, QuantdeskError
from quantdesk.features import declared
from quantdesk.features.config import FeatureConfig
from quantdesk.features.definitions import VIEWS

__all__ = ["noticed", "objects_in", "views_among"]

_BUILT_IN = {*VIEWS, *(f"{view}_rows" for view in VIEWS), "symbol", "all_features"}
_KINDS = (Entity, FeatureView, OnDemandFeatureView, FeatureService, DataSource)
_LOADING = threading.Lock()


def objects_in(folder: Path) -> list[Any]:
    """Every Feast object that the files of a repository hold, without those that the platform brings along.

    Parameters
    ----------
    folder
        The repository. Its files may import each other, as they may under ``feast apply``.

    Raises
    ------
    BadInput
        A file cannot be run; the message names it and says why.
    """
    folder = folder.resolve()
    found: list[Any] = []
    with _LOADING:
        modules, path, bytecode = dict(sys.modules), sys.path[:], sys.dont_write_bytecode
        sys.path.insert(0, str(folder))
        sys.dont_write_bytecode = True
        try:
            for file in get_repo_files(folder):
                for value in vars(_run(file, folder)).values():
                    if isinstance(value, _KINDS) and not any(value is one for one in found):
                        found.append(value)
        finally:
            sys.path[:], sys.dont_write_bytecode = path, bytecode
            for name, module in list(sys.modules.items()):
                if str(getattr(module, "__file__", None) or "").startswith(f"{folder}/"):
                    del sys.modules[name]
                    if name in modules:
                        sys.modules[name] = modules[name]
    return [one for one in found if one.name not in _BUILT_IN]


def _run(file: Path, folder: Path) -> Any:
    name = ".".join(file.relative_to(folder).with_suffix("").parts)
    if str(getattr(sys.modules.get(name), "__file__", "")) == str(file):
        return sys.modules[name]  # another file of the repository has imported it
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise BadInput(f"{file} cannot be run.", "Give a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except QuantdeskError:
        raise
    except Exception as error:
        raise BadInput(
            f"{file} cannot be run ({type(error).__name__}: {error}).", "Try it with `feast plan` in its folder."
        ) from error
    return module


def views_among(objects: Sequence[Any]) -> list[FeatureView]:
    """The feature views among some objects."""
    return [one for one in objects if isinstance(one, FeatureView)]


def noticed(config: RepoConfig) -> None:
    """Remember what the repository declares when it is applied with the stock ``feast apply``.

    Feast tells the online store of each apply. That of another repository is no concern of ours: only one whose
    registry is this installation's (``sqlite+quantdesk:``) is read.
    """
    registry = config.registry
    path = registry if isinstance(registry, str) else getattr(registry, "path", None)
    if config.repo_path is None or not str(path).startswith("sqlite+quantdesk:"):
        return
    folder = Path(config.repo_path)
    declared.write(FeatureConfig.from_env().root, declared.declare(views_among(objects_in(folder)), folder))
