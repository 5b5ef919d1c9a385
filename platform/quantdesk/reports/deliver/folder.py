"""Messages as files, for a laptop without a mail server. An edge module: it writes them.

Each is one ``.eml`` file, which mail programs and browsers' mail viewers open, with the page of the run inside.
"""

from __future__ import annotations

import re
from pathlib import Path

from quantdesk.errors import EnvironmentProblem
from quantdesk.records import atomic_write
from quantdesk.reports.deliver.channel import Temporary
from quantdesk.reports.deliver.mail import read_page
from quantdesk.reports.deliver.message import Message
from quantdesk.reports.deliver.mime import HOST, email_of, packed

__all__ = ["Folder"]


class Folder:
    """The channel ``file``.

    Parameters
    ----------
    folder
        Where the messages go; it is made when it is missing.
    attach_bytes
        Pages above it are left out.
    """

    def __init__(self, folder: Path, *, attach_bytes: int = 10_000_000) -> None:
        self.folder = folder
        self._attach_bytes = attach_bytes

    def send(self, message: Message) -> None:
        """Write it. The same message again replaces its file. See :class:`.channel.Channel`."""
        page = None if message.page is None else read_page(message.page, self._attach_bytes)
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", message.run_id)[:80].strip("-") or "message"
        target = self.folder / f"{message.at:%Y%m%dT%H%M%S}Z-{stem}-{message.id[:8]}.eml"
        try:
            with atomic_write(target, mode=0o600) as temporary:
                temporary.write_bytes(packed(email_of(message, sender=f"quantdesk@{HOST}", page=page)))
        except EnvironmentProblem as error:
            raise Temporary(error.problem, error.remedy) from error
        except OSError as error:
            raise Temporary(f"{target} cannot be written ({error.strerror or error}).") from error
