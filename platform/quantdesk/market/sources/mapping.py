"""How a user's files are to be read: the schema of ``series.toml``."""

from __future__ import annotations

import datetime as dt
import tomllib
import zoneinfo
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from quantdesk.errors import BadInput
from quantdesk.market.admission import SOURCE_NAME
from quantdesk.market.publication import POLICIES
from quantdesk.market.series import FIELDS, Adjustment, Kind

__all__ = ["MAPPING_FILE", "FolderMapping", "Overrides", "Strict", "Text", "Writing", "read_mapping", "read_toml"]

MAPPING_FILE = "series.toml"

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Strict(BaseModel):
    """A misspelled key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Overrides(Strict):
    """What may differ for one symbol; None leaves the folder's value."""

    kind: Kind | None = None
    unit: Text | None = None
    calendar: Text | None = None
    adjustment: Adjustment | None = None
    survivors_only: bool | None = None
    note: str | None = None


class Writing(Strict):
    """How dates and numbers are written in a file.

    Attributes
    ----------
    date_format
        A strptime format for dates that are not in ISO form.
    time_zone
        The zone of times of day without one.
    delimiter, decimal, thousands
        How CSV numbers are written.
    missing
        What stands for no value.
    """

    date_format: Text | None = None
    time_zone: Text | None = None
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    decimal: Annotated[str, StringConstraints(min_length=1, max_length=1)] = "."
    thousands: Annotated[str, StringConstraints(max_length=1)] = ""
    missing: tuple[str, ...] = ("", ".", "-", "NA", "N/A", "NaN", "nan", "null", "None")

    @field_validator("date_format")
    @classmethod
    def _date_format(cls, date_format: str | None) -> str | None:
        if date_format is not None and "%z" in date_format.lower():
            raise ValueError("dates with a zone are read in ISO form, without a date_format")
        return date_format

    @field_validator("time_zone")
    @classmethod
    def _time_zone(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in zoneinfo.available_timezones():
            raise ValueError(f"there is no time zone {zone!r}; one is, for example, America/New_York")
        return zone

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        if len({self.delimiter, self.decimal, self.thousands} - {""}) < 2 + bool(self.thousands):
            raise ValueError("delimiter, decimal and thousands must be different characters")
        return self


class FolderMapping(Writing):
    """How the files of one folder are to be read.

    What is not declared is taken at its worst: prices of unknown adjustment count as adjusted with hindsight, and
    symbols as chosen among survivors.

    Attributes
    ----------
    name
        The source's name, the part after the ``@``; the folder's own name when left out.
    licence, version
        Shown with every result; the version is a hash of the files when left out.
    kind, unit, calendar, adjustment, survivors_only, note
        As in :class:`quantdesk.market.Description`.
    real
        False for simulated or made-up numbers.
    publication, publication_lag_minutes
        When a value is known: a policy of :mod:`quantdesk.market.publication`, or minutes after the event.
    files
        Glob patterns below the folder.
    columns
        From ``date``, ``symbol`` and the fields to the columns of the files. Common names are found without it; with
        it, only what it names is read. Without ``symbol`` the file's name is the symbol.
    symbols
        New names for symbols, for example ``"BRK/B" = "BRK.B"``.
    date_format, time_zone, delimiter, decimal, thousands, missing
        As in :class:`Writing`.
    strict
        Refuse implausible rows (a price that is not positive, a high below the close). When False they are kept as
        they are, and the quality report names them.
    series
        Per symbol what differs.
    """

    name: str | None = None
    licence: Text = "not stated"
    version: Text | None = None
    kind: Kind = "equity"
    unit: Text = "USD"
    calendar: Text = "XNYS"
    adjustment: Adjustment = "unknown"
    survivors_only: bool = True
    real: bool = True
    note: str = ""
    publication: Text = "close"
    publication_lag_minutes: float | None = Field(default=None, ge=0, le=60 * 24 * 366, allow_inf_nan=False)
    files: tuple[Text, ...] = ("*.csv", "*.csv.gz", "*.parquet")
    columns: dict[str, Text] = Field(default_factory=dict)
    symbols: dict[str, Text] = Field(default_factory=dict)
    strict: bool = True
    series: dict[str, Overrides] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _name(cls, name: str | None) -> str | None:
        if name is not None and not SOURCE_NAME.fullmatch(name):
            raise ValueError("up to 32 of a-z 0-9 _ - are allowed, and the first is a letter or a digit")
        return name

    @field_validator("files")
    @classmethod
    def _files(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
                raise ValueError(f"the pattern {pattern!r} leaves the folder")
        return patterns

    @field_validator("columns")
    @classmethod
    def _columns(cls, columns: dict[str, str]) -> dict[str, str]:
        allowed = ("date", "symbol", *FIELDS)
        for name in columns:
            if name not in allowed:
                raise ValueError(f"there is no {name!r}; there are {', '.join(allowed)}")
        if columns and ("date" not in columns or not {"close", "adj_close"} & set(columns)):
            raise ValueError("date, and close or adj_close, are needed")
        return columns

    @field_validator("publication")
    @classmethod
    def _publication(cls, policy: str) -> str:
        if policy not in POLICIES:
            raise ValueError(f"there is no policy {policy!r}; there are {', '.join(POLICIES)}")
        return policy

    @property
    def lag(self) -> dt.timedelta:
        """How long after the event a value is known."""
        if self.publication_lag_minutes is not None:
            return dt.timedelta(minutes=self.publication_lag_minutes)
        return POLICIES[self.publication].lag


_M = TypeVar("_M", bound=BaseModel)


def read_mapping(path: Path) -> FolderMapping:
    """Read a ``series.toml``; errors as :func:`read_toml`."""
    return read_toml(path, FolderMapping)


def read_toml(path: Path, schema: type[_M]) -> _M:
    """Read a TOML file that must fit `schema`.

    Raises
    ------
    BadInput
        The file is no TOML, or a key or value is not one that there is; the message names it.
    """
    try:
        given: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path} cannot be read ({error}).", "It must be a TOML file in UTF-8.") from error
    try:
        return schema(**given)
    except ValidationError as errors:
        first = errors.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file as a whole"
        if first["type"] == "extra_forbidden":
            said, remedy = f"{path}: there is no key {key!r}.", f"Keys: {', '.join(_keys(schema))}."
        else:
            shown = repr(first.get("input"))[:80]
            said, remedy = f"{path}: {key} = {shown} cannot be used.", f"{first['msg'].removeprefix('Value error, ')}."
        raise BadInput(said, remedy) from errors


def _keys(schema: type[BaseModel]) -> list[str]:
    """The keys of a schema, its own before those that it inherits."""
    own = [name for name in schema.model_fields if name in schema.__annotations__]
    return [*own, *(name for name in schema.model_fields if name not in own)]
