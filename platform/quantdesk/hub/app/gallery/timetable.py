"""A schedule as people write it, checked, and when it would be due. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from quantdesk.errors import QuantdeskError
from quantdesk.reports.ledger import Schedule
from quantdesk.reports.schedule import CatchUp, parse

__all__ = ["CATCH_UP", "Preview", "Typed", "common_zones", "preview", "typed", "typed_of"]

_PREVIEWED = 5
CATCH_UP: dict[str, str] = {
    CatchUp.LATEST.value: "run the latest one",
    CatchUp.ALL.value: "run every one",
    CatchUp.SKIP.value: "run none",
}
"""What becomes of due times that were missed."""


@dataclass(frozen=True)
class Typed:
    """What stands in the form of a schedule.

    Attributes
    ----------
    trigger, timezone, catch_up
        As typed.
    is_private, is_enabled
        As ticked.
    after
        Names of reports.
    version
        Of the schedule that was being looked at; 0 for a new one.
    errors
        What is wrong with a field, by its name.
    """

    trigger: str = ""
    timezone: str = "America/New_York"
    catch_up: str = CatchUp.LATEST.value
    is_private: bool = False
    is_enabled: bool = True
    after: tuple[str, ...] = ()
    version: int = 0
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Preview:
    """What a trigger means.

    Attributes
    ----------
    words
        In a sentence; empty where it cannot be read.
    times
        The next due times: in UTC, and on the clock of the schedule's zone.
    problem
        Why it cannot be read, or why there are no more times.
    """

    words: str
    times: tuple[tuple[datetime, datetime], ...]
    problem: str = ""


def preview(trigger: str, timezone: str, now: datetime) -> Preview:
    """What a trigger means, and the next five times at which it is due after `now`."""
    try:
        read = parse(trigger, timezone)
    except QuantdeskError as error:
        return Preview("", (), str(error))
    zone = ZoneInfo(timezone)
    times: list[tuple[datetime, datetime]] = []
    at: datetime | None = now
    try:
        while len(times) < _PREVIEWED and at is not None:
            at = read.next_after(at)
            if at is not None:
                times.append((at, at.astimezone(zone)))
    except QuantdeskError as error:  # the calendar of an exchange is not known for ever
        return Preview(read.describe(), tuple(times), str(error))
    return Preview(read.describe(), tuple(times), "" if times else "It is never due.")


def typed(sent: Mapping[str, list[str]], reports: Mapping[str, object], report: str) -> Typed:
    """What somebody typed, with what is wrong with it.

    Parameters
    ----------
    sent
        Of the form.
    reports
        Those that this person may see, by name.
    report
        What is to be run.
    """

    def one(name: str) -> str:
        return (sent.get(name) or [""])[0].strip()

    trigger, timezone, catch_up, version = one("trigger"), one("timezone"), one("catch_up"), one("version")
    after = tuple(dict.fromkeys(line.strip() for line in one("after").splitlines() if line.strip()))
    errors: dict[str, str] = {}
    try:
        parse("0 0 * * *", timezone)
    except QuantdeskError as error:
        errors["timezone"] = str(error)
    else:
        try:
            parse(trigger, timezone)
        except QuantdeskError as error:
            errors["trigger"] = str(error)
    if catch_up not in CATCH_UP:
        errors["catch_up"] = "Choose one of the list."
    strange = [name for name in after if name not in reports]
    if strange:
        errors["after"] = f"There is no report {strange[0]!r}."
    elif report in after:
        errors["after"] = f"{report} would wait for itself."
    return Typed(
        trigger,
        timezone,
        catch_up,
        "private" in sent,
        "enabled" in sent,
        after,
        int(version) if version.isascii() and version.isdecimal() and len(version) < 10 else 0,
        errors,
    )


def typed_of(schedule: Schedule) -> Typed:
    """The form of a schedule that is there."""
    return Typed(
        schedule.trigger,
        schedule.timezone,
        schedule.catch_up,
        schedule.is_private,
        schedule.is_enabled,
        schedule.after,
        schedule.version,
    )


def common_zones() -> tuple[str, ...]:
    """Zones that a desk is likely to mean, for a list to choose from; others can be typed."""
    return (
        "UTC", "America/New_York", "America/Chicago", "America/Los_Angeles", "America/Toronto", "America/Sao_Paulo",
        "Europe/London", "Europe/Dublin", "Europe/Paris", "Europe/Berlin", "Europe/Zurich", "Europe/Stockholm",
        "Asia/Dubai", "Asia/Kolkata", "Asia/Singapore", "Asia/Hong_Kong", "Asia/Shanghai", "Asia/Seoul", "Asia/Tokyo",
        "Australia/Sydney",
    )  # fmt: skip
