"""The views that a user declared in ``feature_repo/``, as the platform needs them. An edge module: one JSON file.

The user writes plain Feast. When the repository is applied, each feature view over Parquet files is written down in
``<root>/declared.json``: its keys, columns, times, time to live and knowledge policy. From then on
:class:`quantdesk.features.FeatureStore` serves it beside the built-in views, without importing Feast.

A view that cannot be served this way is written down too, with the reason, so that whoever asks for it is told. Feast
itself serves it as always.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from quantdesk import __version__
from quantdesk.errors import BadInput, DataError, QuantdeskError
from quantdesk.features.definitions import VIEWS, Feature, View
from quantdesk.features.knowledge import TAG, Knowledge, PublishedAt, parse
from quantdesk.market.series import KINDS, Flags
from quantdesk.records import atomic_write, sha256_of

__all__ = [
    "DECLARED",
    "DeclaredFeature",
    "DeclaredView",
    "Field",
    "Repository",
    "adopted",
    "data_files",
    "declare",
    "from_json",
    "read_declared",
    "to_json",
    "version_of",
    "write",
]

DECLARED = "declared.json"
FORMAT = 1
_REMEDY = "Apply the repository again: quantdesk features apply."
_NUMBERS = {"Float64", "Float32", "Int64", "Int32", "Bool"}
_KEYS = {"STRING": "String", "INT64": "Int64", "INT32": "Int32"}
_FOREVER = dt.timedelta(0)


@dataclass(frozen=True)
class Field:
    """A column of a declared view.

    Attributes
    ----------
    name
        What it is called in questions.
    column
        What it is called in the files.
    dtype
        Feast's name of its type, such as ``Float64``.
    description, unit
        As declared; may be empty.
    """

    name: str
    column: str
    dtype: str
    description: str = ""
    unit: str = ""


@dataclass(frozen=True)
class DeclaredFeature(Feature):
    """A feature of a declared view.

    Attributes
    ----------
    of
        The view.
    """

    of: DeclaredView

    @property
    def home(self) -> DeclaredView:
        """The view that holds it."""
        return self.of


@dataclass(frozen=True)
class DeclaredView(View):
    """A user's own feature view.

    Attributes
    ----------
    path
        The Parquet file or folder, absolute.
    keys
        The key columns; none for a view about everything at once.
    event, created
        The columns of the two times; no `created` where the source has none.
    policy
        The knowledge policy, or None where none is declared.
    fields
        Its features.
    any_symbol
        Whether rows may be about symbols that the market store does not hold (tag ``symbols: any``).
    about
        What a result must say about its numbers (tags ``real``, ``adjusted_with_hindsight``, ``survivors_only``). What
        nobody declared real is not called real.
    adopted
        Per file that was there when the view was applied its SHA-256: its state as it was declared.
    """

    path: Path
    keys: tuple[Field, ...]
    event: str
    created: str | None
    policy: Knowledge | None
    fields: tuple[Field, ...]
    any_symbol: bool
    about: Flags
    adopted: tuple[tuple[str, str], ...] = ()

    @property
    def features(self) -> tuple[Feature, ...]:
        """Its features, in the order of declaration; those that are no numbers cannot be asked for."""
        return tuple(
            DeclaredFeature(
                name=field.name,
                description=field.description,
                unit=field.unit,
                formula="",
                source=f"declared view {self.name}",
                look_back=0,
                inputs=(field.column,),
                view=self.name,
                kinds=frozenset(KINDS),
                not_for_others="unknown_kind",
                undefined="null_in_source",
                compute=None,
                of=self,
            )
            for field in self.fields
            if field.dtype in _NUMBERS
        )

    @property
    def flags(self) -> Flags:
        """What a result must say about its numbers."""
        return self.about

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        said = {name: value for name, value in asdict(self).items() if name not in {"policy", "ttl", "path", "adopted"}}
        tags = self.policy.tags if self.policy else {}
        return {
            **said,
            "ttl": self.ttl / dt.timedelta(microseconds=1),
            "path": str(self.path),
            TAG: tags.get(TAG),
            "adopted": dict(self.adopted),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> DeclaredView:
        """The inverse of :meth:`to_dict`. A missing or unknown entry raises `KeyError` or `TypeError`."""
        own = {**given, "ttl": dt.timedelta(microseconds=given["ttl"]), "path": Path(given["path"])}
        text = own.pop(TAG)
        own["policy"] = None if text is None else parse({TAG: text}, f"view {given['name']}")
        own["keys"], own["fields"] = (tuple(Field(**one) for one in given[part]) for part in ("keys", "fields"))
        own["about"] = Flags(**given["about"])
        own["adopted"] = tuple(sorted(given["adopted"].items()))
        return cls(**own)


@dataclass(frozen=True)
class Repository:
    """What was declared.

    Attributes
    ----------
    views
        The views that can be served, by name.
    left_out
        The others, by name, with the reason.
    """

    views: Mapping[str, DeclaredView]
    left_out: Mapping[str, str]


def declare(views: Iterable[Any], folder: Path) -> Repository:
    """Take down what some Feast feature views say.

    Parameters
    ----------
    views
        Objects of Feast (they are only read). Those with the name of a built-in view are passed over.
    folder
        The repository: paths of sources are relative to it.

    Raises
    ------
    BadInput
        A knowledge policy that cannot be understood, or that contradicts the source.
    """
    found: dict[str, DeclaredView] = {}
    left_out: dict[str, str] = {}
    for view in views:
        if view.name in VIEWS:
            continue
        why = _not_served(view)
        if why:
            left_out[view.name] = why
        else:
            found[view.name] = _declared(view, folder)
    return Repository(found, left_out)


def _not_served(view: Any) -> str:
    """Why a Feast view is left to Feast, or nothing."""
    source = view.batch_source
    if type(view).__name__ != "FeatureView":
        return f"it is a {type(view).__name__}"
    if type(source).__name__ != "FileSource":
        return f"its source is a {type(source).__name__}, not a FileSource"
    if urlsplit(source.path).netloc:
        return f"its source {source.path} is not on this machine's disk"
    odd = [column.name for column in _own_keys(view) if column.dtype.to_value_type().name not in _KEYS]
    return f"its key {odd[0]} is neither text nor a whole number" if odd else ""


def _own_keys(view: Any) -> list[Any]:
    return [column for column in view.entity_columns if column.name != "__dummy_id"]


def _declared(view: Any, folder: Path) -> DeclaredView:
    source = view.batch_source
    where = f"view {view.name}"
    policies = {parse(tags or {}, of) for tags, of in ((view.tags, where), (source.tags, f"the source of {where}"))}
    said = policies - {None}
    if len(said) > 1:
        raise BadInput(
            f"The {where} and its source declare different knowledge policies.", f"Declare one: {TAG} of the view."
        )
    policy = said.pop() if said else None
    created = source.created_timestamp_column or None
    if isinstance(policy, PublishedAt) and policy.column != created:
        raise BadInput(
            f"The {where} is {policy.sentence}, but its source's created_timestamp_column is {created!r}.",
            f"Declare created_timestamp_column={policy.column!r} as well: it is what Feast itself reads.",
        )
    if policy is not None and created is None and type(policy).__name__ == "LoadTime":
        raise BadInput(
            f"The {where} is {policy.sentence}, but its source has no created_timestamp_column.",
            "Name the column that holds the time of loading.",
        )
    stored = {shown: column for column, shown in source.field_mapping.items()}
    path = (folder / source.path).resolve()
    return DeclaredView(
        name=view.name,
        description=view.description,
        entity="symbol" if "symbol" in [column.name for column in _own_keys(view)] else None,
        ttl=view.ttl or _FOREVER,
        knowledge="" if policy is None else policy.sentence,
        path=path,
        keys=tuple(
            Field(column.name, stored.get(column.name, column.name), _KEYS[column.dtype.to_value_type().name])
            for column in _own_keys(view)
        ),
        event=source.timestamp_field,
        created=created,
        policy=policy,
        fields=tuple(
            Field(one.name, stored.get(one.name, one.name), str(one.dtype), one.description, one.tags.get("unit", ""))
            for one in view.features
        ),
        any_symbol=_choice(view.tags, "symbols", {"known": False, "any": True}, where),
        about=Flags(
            **{
                name: _choice(view.tags, name, {"false": False, "true": True}, where)
                for name in ("real", "adjusted_with_hindsight", "survivors_only")
            }
        ),
        adopted=_adopted(path),
    )


def _choice(tags: Mapping[str, str], name: str, values: Mapping[str, bool], where: str) -> bool:
    """One of two words; the first one when nothing is said."""
    said = tags.get(name, next(iter(values)))
    if said not in values:
        raise BadInput(f"The tag {name} of {where} is {said!r}.", f"Write {' or '.join(map(repr, values))}.")
    return values[said]


def data_files(path: Path) -> list[Path]:
    """The Parquet files at a path; none where it does not exist yet."""
    if path.is_file():
        return [path]
    hidden = (".", "_")
    every = path.rglob("*.parquet") if path.is_dir() else ()
    return sorted(file for file in every if not any(part.startswith(hidden) for part in file.relative_to(path).parts))


def adopted(repository: Repository) -> Repository:
    """The same views, with their files as they are now taken for what was declared."""
    views = {name: replace(view, adopted=_adopted(view.path)) for name, view in repository.views.items()}
    return Repository(views, repository.left_out)


def _adopted(path: Path) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(file), sha256_of(file)) for file in data_files(path)))


def version_of(folder: Path | None) -> str:
    """A hash of the Python files of a repository; of nothing where there is none."""
    digest = hashlib.sha256(str(folder).encode())
    for file in sorted(folder.rglob("*.py")) if folder is not None and folder.is_dir() else []:
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def write(root: Path, repository: Repository) -> None:
    """Write down what was declared: whole, or not at all."""
    with atomic_write(root / DECLARED) as temporary:
        temporary.write_text(to_json(repository), encoding="utf-8")


def to_json(repository: Repository) -> str:
    """What was declared, as text."""
    content = {
        "format": FORMAT,
        "version": __version__,
        "views": [view.to_dict() for view in repository.views.values()],
        "left_out": dict(repository.left_out),
    }
    return json.dumps(content, indent=1) + "\n"


def read_declared(root: Path) -> Repository:
    """What was declared when the repository was last applied; nothing, if it never was.

    Raises
    ------
    DataError
        The file is damaged, or another version of quantdesk wrote it.
    """
    path = root / DECLARED
    try:
        return from_json(path.read_text(encoding="utf-8"), str(path))
    except (FileNotFoundError, NotADirectoryError):
        return Repository({}, {})
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged ({error}).", _REMEDY) from error


def from_json(text: str, what: str) -> Repository:
    """The inverse of :func:`to_json`.

    Parameters
    ----------
    text
        What was declared.
    what
        What the text is called, for messages.

    Raises
    ------
    DataError
        It is damaged, or another version of quantdesk wrote it.
    """
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise DataError(
                f"{what} was written by quantdesk {content['version']} in format {content['format']}; "
                f"quantdesk {__version__} reads format {FORMAT}.",
                _REMEDY,
            )
        views = [DeclaredView.from_dict(given) for given in content["views"]]
        return Repository({view.name: view for view in views}, content["left_out"])
    except QuantdeskError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{what} is damaged ({error}).", _REMEDY) from error
