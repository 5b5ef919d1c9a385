"""How messages leave this installation. An edge module: it reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadInput
from quantdesk.reports.deliver.channel import Channel
from quantdesk.reports.deliver.message import link_of
from quantdesk.reports.deliver.recipients import EMAIL, FILE, WEBHOOK, Recipient, recipient
from quantdesk.reports.runs import RunsConfig

__all__ = ["DeliveryConfig"]


class DeliveryConfig(BaseSettings):
    """Settings of delivery. Kernels of reports do not see them.

    Attributes
    ----------
    smtp_url
        ``QUANTDESK_DELIVERY_SMTP_URL``: ``smtp://user:password@host:587`` (STARTTLS required; ``?tls=off`` for a
        line that is safe) or ``smtps://user:password@host:465``; without it, mail goes to the folder.
    smtp_ca_file
        ``QUANTDESK_DELIVERY_SMTP_CA_FILE``: certificates to trust in place of the system's.
    sender
        ``QUANTDESK_DELIVERY_SENDER``: the address that mail comes from.
    webhooks
        ``QUANTDESK_DELIVERY_WEBHOOKS``: JSON, name to address: ``{"risk": "https://hooks.slack.com/services/..."}``.
    run_url
        ``QUANTDESK_DELIVERY_RUN_URL``: where a run is shown, with ``{run}`` for its name.
    attach_bytes
        ``QUANTDESK_DELIVERY_ATTACH_BYTES``: larger pages are linked and not attached.
    allow_http, allow_private
        ``QUANTDESK_DELIVERY_ALLOW_HTTP``, ``QUANTDESK_DELIVERY_ALLOW_PRIVATE``: whether a webhook may be
        without TLS, and inside the network.
    webhook_ca_file
        ``QUANTDESK_DELIVERY_WEBHOOK_CA_FILE``: certificates to trust in place of the system's.
    timeout_s
        ``QUANTDESK_DELIVERY_TIMEOUT_S``: seconds for a webhook, and for one answer of a mail server.
    folder
        ``QUANTDESK_DELIVERY_FOLDER``: where messages go that have no other way; ``outbox/`` in the folder of
        the reports.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_DELIVERY_", frozen=True)

    smtp_url: SecretStr | None = None
    smtp_ca_file: Path | None = None
    sender: str | None = None
    webhooks: Mapping[str, SecretStr] = Field(default_factory=dict)
    run_url: str | None = None
    attach_bytes: int = Field(default=10_000_000, ge=0)
    allow_http: bool = False
    allow_private: bool = False
    webhook_ca_file: Path | None = None
    timeout_s: float = Field(default=15.0, gt=0, le=60)
    folder: Path = Field(default_factory=lambda: RunsConfig.from_env().reports_root / "outbox")

    @field_validator("run_url")
    @classmethod
    def _shows_runs(cls, value: str | None) -> str | None:
        if value is not None and not (value.startswith(("https://", "http://")) and "{run}" in value):
            raise ValueError("it is no http address with {run} in it")
        return value

    @classmethod
    def from_env(cls) -> DeliveryConfig:
        """Read the environment.

        Raises
        ------
        BadInput
            A setting is wrong. The message names it, and never its value: it may be a secret.
        """
        from pydantic import ValidationError
        from pydantic_settings import SettingsError

        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = f"QUANTDESK_DELIVERY_{str(first['loc'][0]).upper()}" if first["loc"] else "A setting of delivery"
            raise BadInput(f"{name} is not right: {first['msg']}.", "See docs/how-to/deliver-reports.md.") from None
        except SettingsError:
            raise BadInput("QUANTDESK_DELIVERY_WEBHOOKS is no JSON.", 'Write {"name": "https://..."}.') from None

    def channels(self) -> dict[str, Channel]:
        """Every channel that is configured, by name. The folder always is.

        Raises
        ------
        BadInput
            An address that cannot be used, or a mail server without a sender.
        """
        from quantdesk.reports.deliver.folder import Folder

        made: dict[str, Any] = {FILE: Folder(self.folder, attach_bytes=self.attach_bytes)}
        if self.smtp_url is not None:
            from quantdesk.reports.deliver.mail import Mail, MailServer

            if self.sender is None:
                raise BadInput(
                    "A mail server is set and no sender.", "Set QUANTDESK_DELIVERY_SENDER to a mail address."
                )
            made[EMAIL] = Mail(
                MailServer.parse(self.smtp_url),
                self.sender,
                attach_bytes=self.attach_bytes,
                timeout_s=self.timeout_s,
                ca_file=self.smtp_ca_file,
            )
        if self.webhooks:
            from quantdesk.reports.deliver.webhook import Webhook, Wire

            wire = Wire(self.allow_http, self.allow_private, self.timeout_s, self.webhook_ca_file)
            made[WEBHOOK] = Webhook(self.webhooks, wire)
        return made

    def route(self, text: str) -> Recipient:
        """The recipient that a declaration names, by the way that is configured: the folder where none is.

        Raises
        ------
        BadInput
            The text names none.
        """
        found = recipient(text)
        if found.channel == EMAIL and self.smtp_url is None:
            return Recipient(FILE, found.target)
        if found.channel == WEBHOOK and found.target.removeprefix("#") not in self.webhooks:
            return Recipient(FILE, found.target)
        return found

    def link(self, run_id: str) -> str | None:
        """Where a run is shown; None where no address is set."""
        return link_of(self.run_url, run_id)
