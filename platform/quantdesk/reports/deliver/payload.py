"""A message as the JSON that Slack's incoming webhooks take, and Mattermost's and Rocket.Chat's. Pure.

Words of a notebook go into blocks of plain text, where nothing is a command. The fallback ``text``, which the others
show, has no such form: there Slack's three signs are escaped, and the signs that would call people or make a link out
of two words are followed by a space of no width.
"""

from __future__ import annotations

import re
from typing import Any

from quantdesk.reports.deliver.message import Message, one_line

__all__ = ["payload", "quoted"]

_NOTHING = "\u200b"


def quoted(text: str) -> str:
    """Text in which Slack and Mattermost find nothing to do: no mention, no link, no emphasis."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([@\[\]*_~`!|]|:(?=\S))", rf"\1{_NOTHING}", escaped)


def payload(message: Message) -> dict[str, Any]:
    """The JSON of a message.

    Parameters
    ----------
    message
        Its text is cut to what one block may hold (Slack: 150 and 3,000 characters).
    """
    link = None if message.link is None else _percent(message.link)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": one_line(message.subject, 150), "emoji": False}},
        {"type": "section", "text": {"type": "plain_text", "text": _cut(message.text), "emoji": False}},
    ]
    if link is not None:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"<{link}|Open the run>"}})
    words = quoted(one_line(message.subject, 200))
    return {"text": words if link is None else f"{words}\n<{link}>", "blocks": blocks, "unfurl_links": False}


def _cut(text: str) -> str:
    return text if len(text) <= 3000 else text[:2999] + "…"


def _percent(link: str) -> str:
    return "".join(f"%{ord(sign):02X}" if sign in '<>|"` ' or not sign.isprintable() else sign for sign in link)
