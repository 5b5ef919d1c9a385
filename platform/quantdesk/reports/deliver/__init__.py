"""What a run tells people, and how it reaches them: e-mail, webhooks, a folder; alerts; retries and dead letters.

::

    recipients   ``ana@example.org``, ``#risk``                                       (pure)
    message      subject, text, HTML and link of a run, or of its alerts              (pure)
    alerts       once as something goes wrong, once as it is right again              (pure)
    attempts     when to try again, when to give up                                   (pure)
    channel      what a way to deliver promises                                       (pure)
    outbox       what waits to be sent; ``RunLedger.deliveries`` is one               (pure)
    mime         a message as an e-mail                                               (pure)
    payload      a message as Slack's JSON                                            (pure)
    mail         by SMTP                                                              (edge: network)
    webhook      by https                                                             (edge: network)
    folder       as files                                                             (edge: disk)
    rounds       one round of sending                                                 (edge: threads)
    config       addresses and secrets                                                (edge: environment)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdesk.reports.deliver.alerts import Alert, Bound, Rules, Standing, alerts_of, rules_of, standing_of
    from quantdesk.reports.deliver.attempts import BackOff, next_attempt
    from quantdesk.reports.deliver.channel import Channel, Permanent, Temporary
    from quantdesk.reports.deliver.config import DeliveryConfig
    from quantdesk.reports.deliver.message import Message, of_alerts, of_run
    from quantdesk.reports.deliver.outbox import MemoryOutbox, Outbox, enqueue
    from quantdesk.reports.deliver.rounds import Pumped, pump

_HOMES = {
    "Alert": "alerts",
    "BackOff": "attempts",
    "Bound": "alerts",
    "Channel": "channel",
    "DeliveryConfig": "config",
    "MemoryOutbox": "outbox",
    "Message": "message",
    "Outbox": "outbox",
    "Permanent": "channel",
    "Pumped": "rounds",
    "Rules": "alerts",
    "Standing": "alerts",
    "Temporary": "channel",
    "alerts_of": "alerts",
    "enqueue": "outbox",
    "next_attempt": "attempts",
    "of_alerts": "message",
    "of_run": "message",
    "pump": "rounds",
    "rules_of": "alerts",
    "standing_of": "alerts",
}

__all__ = [
    "Alert",
    "BackOff",
    "Bound",
    "Channel",
    "DeliveryConfig",
    "MemoryOutbox",
    "Message",
    "Outbox",
    "Permanent",
    "Pumped",
    "Rules",
    "Standing",
    "Temporary",
    "alerts_of",
    "enqueue",
    "next_attempt",
    "of_alerts",
    "of_run",
    "pump",
    "rules_of",
    "standing_of",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
