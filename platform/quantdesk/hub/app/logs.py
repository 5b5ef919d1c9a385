"""Logs as JSON, one object a line, with the request or the run they belong to. An edge module: logging, environment.

No query, no header and no body is ever logged: tokens and codes travel in them.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from contextvars import ContextVar
from typing import Literal

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadParameter

__all__ = ["JsonLines", "LogConfig", "lines", "request_id", "set_up"]

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the request that is being answered."""
_EXTRA = ("user", "method", "path", "status", "ms", "bytes", "client", "process", "code")


class LogConfig(BaseSettings):
    """How processes that people also start by hand write their logs; those of the service write JSON always.

    Attributes
    ----------
    format
        ``QUANTDESK_LOG_FORMAT``: ``text`` for people, ``json`` for what collects logs.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_LOG_", frozen=True, extra="ignore")

    format: Literal["text", "json"] = "text"

    @classmethod
    def from_env(cls) -> LogConfig:
        """Read the environment.

        Raises
        ------
        BadParameter
            It is neither of the two.
        """
        try:
            return cls()
        except ValidationError as error:
            given = error.errors()[0]["input"]
            raise BadParameter(f"QUANTDESK_LOG_FORMAT is {given!r}.", "Give text or json.") from None


class JsonLines(logging.Formatter):
    """A record as one line of JSON; what speaks of a run has its name as ``run_id``."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "at": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        if record.args and isinstance(record.args, tuple) and str(record.msg).startswith("run %s"):
            line["run_id"] = record.args[0]
        line |= {name: record.__dict__[name] for name in _EXTRA if name in record.__dict__ and name != "process"}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def lines(service: str, **_: object) -> JsonLines:
    """The formatter of another program's logging configuration; what else that says of one does not matter to JSON."""
    return JsonLines(service)


def set_up(service: str) -> None:
    """Have everything that this process logs written to the standard error as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # ours says more, and no query
    for chatty in ("alembic", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
