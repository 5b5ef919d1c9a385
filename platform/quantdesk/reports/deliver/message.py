"""What is told to whom: subject, text, HTML and link, made from a run or from its alerts. Pure.

Titles, problems and parameters are what somebody wrote into a notebook. Here they become one line of printable signs in
a subject, plain text in a text, and escaped text in HTML; nothing in one acts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from quantdesk.reports import banner, theme
from quantdesk.reports.amounts import amount
from quantdesk.reports.deliver.recipients import Recipient

if TYPE_CHECKING:
    from quantdesk.reports.deliver.alerts import Alert
    from quantdesk.reports.result import Run

__all__ = ["Message", "link_of", "of_alerts", "of_run", "one_line"]

MOST_PARAMETERS = 20
MOST_NOTES = 5
"""What a message lists; the page has all of it."""


@dataclass(frozen=True)
class Message:
    """Something to tell one recipient.

    Attributes
    ----------
    id
        Of this message to this recipient, 32 hexadecimal digits: the same fact gives the same id, so a repetition is
        recognisable wherever it arrives.
    to
        The recipient.
    run_id
        What it is about.
    subject
        One line of printable signs.
    text, html
        The same words twice. The HTML is a whole document that loads nothing.
    link
        Where the run is shown; None where no address is configured.
    page
        Path of the run's page on this machine, to attach; None for an alert.
    at
        When what it tells happened (UTC).
    """

    id: str
    to: Recipient
    run_id: str
    subject: str
    text: str
    html: str
    link: str | None
    page: str | None
    at: datetime

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "at": self.at.isoformat()}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Message:
        """The inverse of :meth:`to_dict`."""
        return cls(**{**given, "to": Recipient(**given["to"]), "at": datetime.fromisoformat(given["at"])})


def one_line(text: str, longest: int = 150) -> str:
    """`text` as one line of printable signs: no line break, no control, no sign that turns the reading direction."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def link_of(template: str | None, run_id: str) -> str | None:
    """The address of a run's page: `template` with ``{run}`` replaced; None without one."""
    return None if template is None else template.replace("{run}", quote(run_id, safe=""))


def of_run(run: Run, to: Recipient, *, link: str | None = None) -> Message:
    """That a run has ended.

    Parameters
    ----------
    run
        The run, complete or not.
    to
        Who is told.
    link
        Where it is shown.
    """
    look = banner.shown(run.status)
    title = one_line(run.title or run.report)
    facts = [("status", f"{look.shape} {look.word}"), *_facts(run)]
    return _message(
        ("run", run.id, to),
        run,
        subject=one_line(f"{look.shape} {title}: {look.word.lower()}"),
        content=_Content(title, look.tone, banner.sentence(run), (), tuple(facts)),
        link=link,
        page=str(run.page),
    )


def of_alerts(alerts: Sequence[Alert], run: Run, to: Recipient, *, link: str | None = None) -> Message:
    """What began and what is over, as one message for one run.

    Parameters
    ----------
    alerts
        At least one, as :func:`quantdesk.reports.deliver.alerts.alerts_of` gave them.
    run
        The run that made them known.
    to, link
        As for :func:`of_run`.
    """
    title = one_line(run.title or run.report)
    began = [alert for alert in alerts if not alert.is_over]
    head = f"▲ {title}" if began else f"✓ {title}"
    first = (began or list(alerts))[0]
    more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
    marks = ["✓ over: " if alert.is_over else f"▲ {alert.severity}: " for alert in alerts]
    lines = tuple(mark + one_line(alert.message, 400) for mark, alert in zip(marks, alerts, strict=True))
    facts = tuple(_facts(run))
    return _message(
        ("alerts", run.id, to),
        run,
        subject=one_line(f"{head}: {'over: ' if first.is_over else ''}{first.message}{more}", 200),
        content=_Content(title, "negative" if began else "positive", "", lines, facts),
        link=link,
        page=None,
    )


@dataclass(frozen=True)
class _Content:
    title: str
    tone: str
    sentence: str
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


def _message(
    about: tuple[str, str, Recipient], run: Run, *, subject: str, content: _Content, link: str | None, page: str | None
) -> Message:
    kind, run_id, to = about
    digest = hashlib.sha256(json.dumps([kind, run_id, to.channel, to.target]).encode()).hexdigest()
    return Message(
        id=digest[:32],
        to=to,
        run_id=run_id,
        subject=subject,
        text=_text(content, link),
        html=_html(content, link),
        link=link,
        page=page,
        at=run.ended,
    )


def _facts(run: Run) -> list[tuple[str, str]]:
    labels = ", ".join(f"{theme.LABELS[label][0]} {label.replace('_', ' ')}" for label in run.labels)
    facts = [
        ("report", one_line(run.report)),
        ("started", f"{run.started:%Y-%m-%d %H:%M:%S} UTC"),
        ("took", f"{run.duration_s:,.1f} s"),
        ("data", labels or "no label stated"),
    ]
    facts += [
        (one_line(metric.name, 60), one_line(f"{_words(metric.value)} {metric.unit}", 80)) for metric in run.metrics
    ]
    if run.missing:
        facts.append(("missing", one_line(", ".join(run.missing), 200)))
    facts += [("note", one_line(note, 300)) for note in run.notes[:MOST_NOTES]]
    given = [(name, run.parameters[name]) for name in run.given if name in run.parameters]
    facts += [(one_line(name, 60), one_line(_words(value), 120)) for name, value in given[:MOST_PARAMETERS]]
    if len(given) > MOST_PARAMETERS:
        facts.append(("", f"and {len(given) - MOST_PARAMETERS} more parameters"))
    return [*facts, ("run", one_line(run.id))]


def _words(value: Any) -> str:
    if isinstance(value, float):
        return amount(value)
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _text(content: _Content, link: str | None) -> str:
    width = max((len(name) for name, _ in content.facts), default=0)
    rows = "\n".join(f"{name:<{width}}  {value}" for name, value in content.facts)
    parts = [content.title, one_line(content.sentence, 1000), "\n".join(content.lines), rows, link or ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(content: _Content, link: str | None) -> str:
    context = {
        "title": content.title,
        "sentence": one_line(content.sentence, 1000),
        "lines": content.lines,
        "facts": content.facts,
        "link": link,
        "colour": getattr(theme.LIGHT, content.tone),
        "palette": theme.LIGHT,
        "font": theme.FONT.replace('"', "'"),
    }
    return str(_template().render(context))


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(resources.files(__package__).joinpath("message.html.j2").read_text("utf-8"))
