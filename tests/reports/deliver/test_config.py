"""Settings of delivery, the folder, and the whole way from a declaration's recipient to what arrives."""

from __future__ import annotations

import email
import email.policy
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from quantdesk.errors import BadInput
from quantdesk.reports.deliver import DeliveryConfig, MemoryOutbox, Temporary, enqueue, of_run, pump
from quantdesk.reports.deliver.folder import Folder
from quantdesk.reports.deliver.recipients import EMAIL, FILE, WEBHOOK, Recipient
from quantdesk.reports.environment import cleaned

from .conftest import NOW, Start, run_of


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [key for key in os.environ if key.startswith("QUANTDESK_DELIVERY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QUANTDESK_STATE", str(tmp_path / "state"))


def test_without_settings_everything_goes_to_the_folder(tmp_path: Path) -> None:
    config = DeliveryConfig.from_env()
    assert config.route("ana@example.org") == Recipient(FILE, "ana@example.org")
    assert config.route("#risk") == Recipient(FILE, "#risk")
    assert set(config.channels()) == {FILE}
    assert config.link("run") is None
    run = run_of(tmp_path)
    (tmp_path / "report.html").write_text("<p>page</p>")
    outbox = MemoryOutbox()
    enqueue(outbox, [of_run(run, config.route(to)) for to in ("ana@example.org", "#risk")], NOW)
    assert pump(outbox, config.channels(), NOW).sent == 2
    files = sorted((tmp_path / "state" / "reports" / "outbox").iterdir())
    assert len(files) == 2
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        assert mail["Subject"] == "✓ Daily risk: completed"
        assert [part.get_filename() for part in mail.iter_attachments()] == [f"{run.id}.html"]  # type: ignore[attr-defined]
    to = {email.message_from_bytes(file.read_bytes(), policy=email.policy.default)["To"] for file in files}
    assert to == {"ana@example.org", "#risk <nobody@quantdesk.invalid>"}


def test_the_same_message_again_replaces_its_file(tmp_path: Path) -> None:
    told = of_run(run_of(tmp_path), Recipient(FILE, ""))
    Folder(tmp_path / "outbox").send(told)
    Folder(tmp_path / "outbox").send(told)
    assert len(list((tmp_path / "outbox").iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(Temporary):
        Folder(tmp_path / "outbox").send(of_run(run_of(), Recipient(FILE, "")))


def test_everything_is_configured(monkeypatch: pytest.MonkeyPatch, mail_server: Start, tmp_path: Path) -> None:
    inbox = mail_server()
    monkeypatch.setenv("QUANTDESK_DELIVERY_SMTP_URL", f"smtp://127.0.0.1:{inbox.port}?tls=off")
    monkeypatch.setenv("QUANTDESK_DELIVERY_SENDER", "quantdesk@example.org")
    monkeypatch.setenv("QUANTDESK_DELIVERY_WEBHOOKS", '{"risk": "https://hooks.example.org/s3cret"}')
    monkeypatch.setenv("QUANTDESK_DELIVERY_RUN_URL", "https://hub.example.org/runs/{run}")
    config = DeliveryConfig.from_env()
    assert set(config.channels()) == {FILE, EMAIL, WEBHOOK}
    assert config.route("#risk") == Recipient(WEBHOOK, "#risk")
    assert config.route("#other") == Recipient(FILE, "#other")
    assert config.link("a b") == "https://hub.example.org/runs/a%20b"
    assert "s3cret" not in repr(config) + str(config.channels())
    outbox = MemoryOutbox()
    enqueue(outbox, [of_run(run_of(tmp_path), config.route("ana@example.org"), link=config.link("1"))], NOW)
    assert pump(outbox, config.channels(), NOW).sent == 1
    assert len(inbox.taken) == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"WEBHOOKS": '{"risk": "https://hooks.example.org/s3cret"'}, "WEBHOOKS is no JSON"),
        ({"WEBHOOKS": '["s3cret"]'}, "WEBHOOKS is not right"),
        ({"WEBHOOKS": '{"risk": 12345}'}, "WEBHOOKS is not right"),
        ({"RUN_URL": "https://hub.example.org/s3cret"}, "RUN_URL is not right"),
        ({"TIMEOUT_S": "s3cret"}, "TIMEOUT_S is not right"),
        ({"SMTP_URL": "smtp://desk:s3cret@mail"}, "no sender"),
        ({"SMTP_URL": "s3cret", "SENDER": "a@example.org"}, "mail server cannot be read"),
        ({"WEBHOOKS": '{"risk": "http://hooks.example.org/s3cret"}'}, "is not https"),
    ],
)
def test_wrong_settings_are_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], says: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"QUANTDESK_DELIVERY_{name}", value)
    with pytest.raises(BadInput, match=says) as caught:
        DeliveryConfig.from_env().channels()
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_kernel_sees_no_setting_of_delivery() -> None:
    names = [f"QUANTDESK_DELIVERY_{name}" for name in ("SMTP_URL", "WEBHOOKS", "SENDER")]
    assert cleaned(dict.fromkeys([*names, "HOME"], "x")) == {"HOME": "x"}


def test_a_secret_is_one() -> None:
    assert "pw" not in repr(DeliveryConfig(smtp_url=SecretStr("smtp://a:pw@b")))


def test_the_package_gives_its_names_lazily() -> None:
    from quantdesk.reports import deliver

    package: Any = deliver
    assert {name for name in deliver.__all__ if getattr(package, name) is None} == set()
    assert dir(deliver) == deliver.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018
