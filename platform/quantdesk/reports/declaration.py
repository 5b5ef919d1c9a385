"""What a report says of itself beyond its cells: owner, schedules, limits, units and bounds, metrics, tables. Pure.

It stands in the notebook's metadata under ``quantdesk``, or beside the notebook in ``<name>.toml``; not in both::

    title = "Daily risk"
    owner = "ana"
    timeout_s = 600
    memory_mb = 2000
    recipients = ["desk@example.com", "#risk"]

    [[schedules]]
    trigger = "30 minutes after the XNYS close"
    catch_up = "latest"

    [parameters.window]
    unit = "sessions"
    minimum = 20
    maximum = 500

    [[metrics]]
    name = "var_95"
    unit = "USD"
    direction = "lower"
    bounds = { upper = 250000, severity = "critical" }

A field that is not known is refused, with the nearest names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from quantdesk.errors import DataError, QuantdeskError
from quantdesk.records.fields import of_mapping, of_toml

__all__ = [
    "NAME",
    "Bounds",
    "Declaration",
    "MetricEntry",
    "ParameterEntry",
    "Retention",
    "ScheduleEntry",
    "Severity",
    "TableEntry",
    "check_triggers",
    "from_metadata",
    "from_toml",
]

NAME = r"[A-Za-z](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?"
"""Names of metrics and tables: a table becomes a file of this name."""
Severity = Literal["info", "warning", "critical"]
LONGEST_TIMEOUT_S = 7 * 24 * 3600.0
_REMEDY = "The fields are explained in docs/how-to/write-a-report.md."


def _plain_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds a line break or another sign that cannot be printed")
    return text.strip()


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; write it as America/New_York") from None
    return name


def _recipient(text: str) -> str:
    mail = re.fullmatch(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])", text)
    if mail is None and re.fullmatch(r"#[a-z0-9][a-z0-9_-]{0,79}", text) is None:
        raise ValueError("it is neither an address such as ana@example.com nor a channel such as #risk")
    return text


def _scalar(value: Any) -> Any:
    if not isinstance(value, (bool, int, float, str)) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{value!r} is no number, text, true or false")
    return value


def _limit(value: Any) -> Any:
    if isinstance(_scalar(value), bool):
        raise ValueError(f"{value!r} is no number and no date")
    return value


Line = Annotated[str, Field(max_length=200), AfterValidator(_plain_line)]
Unit = Annotated[str, Field(max_length=24), AfterValidator(_plain_line)]
Named = Annotated[str, Field(pattern=rf"^{NAME}$")]
Tag = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
User = Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63})?$")]
ReportName = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]{1,120}$")]
Recipient = Annotated[str, AfterValidator(_recipient)]
Seconds = Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT_S)]
# One check in place of a union, whose every branch would complain for itself.
Scalar = Annotated[Any, AfterValidator(_scalar)]
Limit = Annotated[Any, AfterValidator(_limit)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ParameterEntry(_Part):
    """What a parameter means, and which of its values make sense. It refines a line of the parameters cell.

    There is no field for a secret: parameters are published with every run.

    Attributes
    ----------
    label, unit, help
        For people; `help` takes the place of the comment in the cell.
    minimum, maximum
        Both included: of a number, of a date, and of each item of a list of them.
    choices
        All that the value, or each item of a list, may be.
    """

    label: Line = ""
    unit: Unit = ""
    help: Annotated[str, Field(max_length=1000)] = ""
    minimum: Limit | None = None
    maximum: Limit | None = None
    choices: tuple[Scalar, ...] = ()


class Bounds(_Part):
    """Where a metric should stay, both ends included; an alert of `severity` when it leaves.

    Attributes
    ----------
    lower, upper
        In the unit of the metric; at least one of them.
    severity
        ``info``, ``warning`` or ``critical``.
    """

    lower: float | None = None
    upper: float | None = None
    severity: Severity = "warning"

    @model_validator(mode="after")
    def _is_a_range(self) -> Bounds:
        if self.lower is None and self.upper is None:
            raise ValueError("bounds without lower and upper hold nothing; give one of them")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"the lower bound {self.lower:g} lies above the upper bound {self.upper:g}")
        return self


class MetricEntry(_Part):
    """A number, or a text, that every run should record.

    Attributes
    ----------
    name
        As in ``record(name, value)``.
    label, unit
        For people.
    direction
        Which way is better: ``higher``, ``lower``, or ``none``.
    bounds
        None where nothing is alerted.
    """

    name: Named
    label: Line = ""
    unit: Unit = ""
    direction: Literal["higher", "lower", "none"] = "none"
    bounds: Bounds | None = None


class TableEntry(_Part):
    """A frame that every run should record, as in ``record.table(name, frame)``."""

    name: Named
    label: Line = ""
    description: Annotated[str, Field(max_length=1000)] = ""


class ScheduleEntry(_Part):
    """When a report runs by itself.

    Attributes
    ----------
    trigger
        As :mod:`quantdesk.reports.schedule` reads it: a cron line, or words about a market's calendar.
    timezone
        An IANA name: in which `trigger` is meant.
    catch_up
        What becomes of runs that were due while nothing ran: none of them, the newest, or every one.
    parameters
        Values by name, checked as if somebody had given them.
    enabled
        Whether it runs.
    """

    trigger: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_line)]
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    catch_up: Literal["skip", "latest", "all"] = "latest"
    parameters: dict[str, Any] = Field(default_factory=dict)
    enabled: bool = True


class Retention(_Part):
    """How many finished runs keep their files; both None keeps all. A run stays as long as one of the two keeps it.

    The newest complete run is always kept, and so is one that somebody spoke of or signed, one whose files a run shares
    that is kept, and one that a message is still to be sent about.

    Attributes
    ----------
    runs
        The newest so many.
    days
        Those that were asked for within so many days.
    """

    runs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    days: Annotated[float, Field(gt=0, le=36_500)] | None = None


class Declaration(_Part):
    """What a report declares. Every field has a default: a notebook without a declaration is a report too.

    Attributes
    ----------
    title, description
        In place of the notebook's first heading and the paragraph below it.
    owner
        A user of the hub.
    visibility
        ``team``: whoever may read reports. ``private``: its owner alone.
    tags
        For the gallery's filter.
    schedules
        When it runs by itself.
    after
        Names of reports whose run of the same due time has to be complete before.
    timeout_s, cell_timeout_s
        Seconds for all of it and for one cell; those of the platform when left out.
    retries, retry_wait_s
        How often a run that failed is tried again, and seconds before the first retry; each next wait is twice as long.
    memory_mb
        Megabytes (10^6 bytes) that the kernel and all that it starts may use together; no limit when left out.
    concurrency
        Runs of it that may be under way at once.
    retention
        Which finished runs are kept.
    recipients
        E-mail addresses and channels (``#risk``) that get the finished page.
    cache
        Whether a run on the same notebook, parameters and data may be answered by an earlier one. False for a report
        that reads a clock, or anything else that the platform has no version of.
    data_max_age_h
        Hours that the newest day of the data may be over when a run ends; an alert when it is longer.
    seed
        What ``random`` and ``numpy.random`` of the kernel start from, with the number of each cell.
    parameters, metrics, tables
        What goes in and what has to come out.
    """

    title: Line = ""
    description: Annotated[str, Field(max_length=2000)] = ""
    owner: User = ""
    visibility: Literal["team", "private"] = "team"
    tags: Annotated[tuple[Tag, ...], Field(max_length=32)] = ()
    schedules: Annotated[tuple[ScheduleEntry, ...], Field(max_length=100)] = ()
    after: Annotated[tuple[ReportName, ...], Field(max_length=100)] = ()
    timeout_s: Seconds | None = None
    cell_timeout_s: Seconds | None = None
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    retry_wait_s: Annotated[float, Field(ge=0, le=24 * 3600)] = 60.0
    memory_mb: Annotated[int, Field(ge=64, le=10_000_000)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 1
    retention: Retention = Retention()
    recipients: Annotated[tuple[Recipient, ...], Field(max_length=100)] = ()
    cache: bool = True
    data_max_age_h: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    parameters: dict[str, ParameterEntry] = Field(default_factory=dict)
    metrics: Annotated[tuple[MetricEntry, ...], Field(max_length=1000)] = ()
    tables: Annotated[tuple[TableEntry, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _is_sound(self) -> Declaration:
        for kind, names in (
            ("metric", [one.name for one in self.metrics]),
            ("table", [one.name for one in self.tables]),
            ("tag", list(self.tags)),
            ("report in after", list(self.after)),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"the {kind} {twice[0]} stands twice")
        if self.visibility == "private" and not self.owner:
            raise ValueError("a private report needs an owner, or nobody could see it")
        return self

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes; None without one."""
        return None if self.memory_mb is None else self.memory_mb * 1_000_000

    def metric(self, name: str) -> MetricEntry | None:
        """The declared metric of that name."""
        return next((one for one in self.metrics if one.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; :func:`from_metadata` reads it back."""
        return self.model_dump(mode="json")

    def retry_after_s(self, attempt: int) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 1) has failed; None when it was the last."""
        if attempt > self.retries:
            return None
        return float(min(self.retry_wait_s * math.ldexp(1.0, min(attempt, 30) - 1), 24 * 3600.0))


def from_toml(text: str, name: str) -> Declaration:
    """The declaration of a TOML text.

    Parameters
    ----------
    text
        TOML with the fields of :class:`Declaration`.
    name
        Of the file, for messages.

    Raises
    ------
    DataError
        Each wrong field is a sentence with file, line, field, value and what would be right.
    """
    return of_toml(Declaration, text, name, remedy=_REMEDY)


def from_metadata(content: object, name: str) -> Declaration:
    """The declaration in a notebook's metadata, ``metadata.quantdesk``.

    Raises
    ------
    DataError
        As of :func:`from_toml`; a notebook has no lines, the message names the key instead.
    """
    if not isinstance(content, Mapping):
        raise DataError(f"{name}: metadata.quantdesk is no table but {str(content)[:80]!r}.", _REMEDY)
    return of_mapping(Declaration, content, lambda _: f"{name}, metadata.quantdesk", remedy=_REMEDY)


def check_triggers(declaration: Declaration, reader: Callable[[str, str], object], name: str) -> None:
    """Refuse a schedule whose trigger `reader` cannot read.

    Parameters
    ----------
    declaration
        Whose schedules are looked at.
    reader
        Takes text and time zone; raises an error of quantdesk's, or ValueError, for a text that is no trigger.
    name
        Of the file, for messages.

    Raises
    ------
    DataError
        With file, number of the schedule, the text and the reader's reason.
    """
    for number, entry in enumerate(declaration.schedules, start=1):
        try:
            reader(entry.trigger, entry.timezone)
        except QuantdeskError as error:
            said = f"{name}: schedules[{number}].trigger is {entry.trigger!r}: {error.problem}"
            raise DataError(said, error.remedy or _REMEDY) from error
        except ValueError as error:
            said = f"{name}: schedules[{number}].trigger is {entry.trigger!r}: {error}."
            raise DataError(said, _REMEDY) from error
