"""Webhooks against real servers: what arrives, what is refused, what hangs, where nothing may be sent."""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from quantdesk.errors import BadInput
from quantdesk.reports.deliver import webhook as module
from quantdesk.reports.deliver.channel import Permanent, Temporary
from quantdesk.reports.deliver.message import Message
from quantdesk.reports.deliver.recipients import WEBHOOK, Recipient
from quantdesk.reports.deliver.webhook import Webhook, Wire

from .conftest import Pair, Site, dripping, free_port, silent

LOCAL = Wire(allow_http=True, allow_private=True, timeout_s=10)


@pytest.fixture
def told(message: Message) -> Message:
    return replace(message, to=Recipient(WEBHOOK, "#risk"))


def hook(port: int, path: str = "/services/T/B/s3cret", wire: Wire = LOCAL, scheme: str = "http") -> Webhook:
    return Webhook({"risk": SecretStr(f"{scheme}://localhost:{port}{path}")}, wire)


def test_a_message_arrives_with_its_id(site: Callable[..., Site], told: Message) -> None:
    web = site()
    hook(web.port).send(told)
    ((path, headers, body),) = web.asked
    assert path == "/services/T/B/s3cret"
    assert headers["Host"] == f"localhost:{web.port}"
    assert headers["Idempotency-Key"] == told.id
    assert headers["Content-Type"] == "application/json"
    sent = json.loads(body)
    assert sent["blocks"][0]["text"] == {"type": "plain_text", "text": told.subject, "emoji": False}
    assert sent["blocks"][2]["text"]["text"] == "<https://hub.example.org/runs/1|Open the run>"


def test_nothing_is_logged_that_tells_the_address(
    site: Callable[..., Site], told: Message, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook(site().port).send(told)
    assert "s3cret" not in caplog.text


def test_https_is_checked_against_the_name(site: Callable[..., Site], told: Message, certificate: Pair) -> None:
    web = site(context=certificate.context)
    trusting = replace(LOCAL, allow_http=False, ca_file=certificate.file)
    hook(web.port, wire=trusting, scheme="https").send(told)
    assert len(web.asked) == 1
    with pytest.raises(Temporary, match="certificate"):
        hook(web.port, wire=replace(trusting, ca_file=None), scheme="https").send(told)


def test_the_name_is_asked_although_the_connection_goes_to_the_address(
    site: Callable[..., Site], told: Message, certificate: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate is for localhost; a name that merely leads to the same address is not good enough."""
    web = site(context=certificate.context)
    monkeypatch.setattr(module, "_addresses", lambda host, port, within_s: ["127.0.0.1"])
    wire = replace(LOCAL, ca_file=certificate.file)
    Webhook({"risk": SecretStr(f"https://localhost:{web.port}/")}, wire).send(told)
    with pytest.raises(Temporary, match="certificate"):
        Webhook({"risk": SecretStr(f"https://evil.example.org:{web.port}/")}, wire).send(told)
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "wait"),
    [
        ((500, {}, b"oops"), Temporary, None),
        ((503, {"Retry-After": "120"}, b""), Temporary, 120.0),
        ((429, {"Retry-After": "7"}, b"slow down"), Temporary, 7.0),
        ((429, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, b""), Temporary, 0.0),
        ((429, {"Retry-After": "soon"}, b""), Temporary, None),
        ((429, {"Retry-After": "-5"}, b""), Temporary, None),
        ((429, {"Retry-After": "9" * 400}, b""), Temporary, 999_999_999.0),
        ((408, {}, b""), Temporary, None),
        ((400, {}, b"invalid_payload"), Permanent, None),
        ((404, {}, b"no_service"), Permanent, None),
        ((410, {}, b"<html>gone</html>"), Permanent, None),
    ],
)
def test_refusals(
    site: Callable[..., Site],
    told: Message,
    answer: tuple[int, dict[str, str], bytes],
    kind: type[Exception],
    wait: float | None,
) -> None:
    web = site(answer)
    with pytest.raises(kind, match=f"answers {answer[0]}") as caught:
        hook(web.port).send(told)
    assert getattr(caught.value, "retry_after_s", None) == wait
    said = answer[2].decode()
    assert (said in str(caught.value)) is (not said.startswith("<"))


def test_a_redirect_is_not_followed(site: Callable[..., Site], told: Message) -> None:
    inside = site()
    web = site((307, {"Location": f"http://localhost:{inside.port}/admin"}, b""))
    with pytest.raises(Permanent, match=r"answers 307.*Redirects are not followed"):
        hook(web.port).send(told)
    assert inside.asked == []


@pytest.mark.parametrize(
    "treat",
    [
        silent,
        dripping(b"H"),
        dripping(b"HTTP/1.1 200 OK\r\nX-A: b\r\n"),
        dripping(b"HTTP/1.1 500 no\r\nContent-Length: 100000000\r\n\r\n"),
    ],
)
def test_a_webhook_that_hangs_or_drips_is_left(
    raw_server: Any, told: Message, treat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may not even look up a name in such a time.
    monkeypatch.setattr(module, "_addresses", lambda host, port, within_s: ["127.0.0.1"])
    with pytest.raises(Temporary, match=r"no answer in 0\.3 s"):
        hook(raw_server(treat), wire=replace(LOCAL, timeout_s=0.3)).send(told)


def test_an_endless_answer_is_not_read(site: Callable[..., Site], told: Message) -> None:
    web = site((400, {}, b"x" * 50_000_000))
    with pytest.raises(Permanent, match=r"x{100,119}…"):
        hook(web.port).send(told)


def test_what_does_not_speak_http(raw_server: Any, told: Message) -> None:
    with pytest.raises(Temporary, match="cannot be reached"):
        hook(raw_server(lambda line, over: line.sendall(b"220 mail\r\n"))).send(told)


def test_nobody_listens_and_nothing_tells_the_address(
    told: Message, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, logger="quantdesk")
    channel = hook(free_port())
    with pytest.raises(Temporary, match="no connection") as caught:
        channel.send(told)
    assert "s3cret" not in str(caught.value) + repr(channel) + caplog.text


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.9.9",
        "169.254.169.254",  # where clouds give away credentials
        "100.64.0.1",
        "0.0.0.0",
        "[::ffff:10.0.0.1]",
        "[fd00::1]",
        "[fe80::1]",
        "2130706433",  # 127.0.0.1 as one number
        "0x7f000001",
        "127.1",
    ],
)
def test_a_private_address_is_refused_in_every_spelling(told: Message, host: str) -> None:
    channel = Webhook({"risk": SecretStr(f"https://{host}/hook")}, Wire(timeout_s=5))
    with pytest.raises((Permanent, Temporary), match=r"leads into a private network|is not found") as caught:
        channel.send(told)
    if host != "0x7f000001":  # which spellings a look-up takes is the system's affair
        assert isinstance(caught.value, Permanent)


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("224.0.0.1", False),
        ("64:ff9b::a00:1", False),  # NAT64 of 10.0.0.1
        ("64:ff9b::5db8:d822", True),
        ("2002:0a00:0001::1", False),  # 6to4 of 10.0.0.1
        ("240.0.0.1", False),
        ("::", False),
    ],
)
def test_which_addresses_are_public(address: str, is_public: bool) -> None:
    assert module._is_public(ipaddress.ip_address(address)) is is_public


def test_one_private_address_among_several_is_enough(told: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_addresses", lambda host, port, within_s: ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(Permanent, match="private"):
        Webhook({"risk": SecretStr("https://rebound.example.org/")}).send(told)


def test_a_name_that_is_not_found(told: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(module.socket, "getaddrinfo", fail)
    with pytest.raises(Temporary, match="is not found"):
        Webhook({"risk": SecretStr("https://nowhere.example.org/")}).send(told)


def test_a_look_up_that_hangs_is_left(told: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    over = threading.Event()
    monkeypatch.setattr(module.socket, "getaddrinfo", lambda *_, **__: [over.wait(30)][:0])
    with pytest.raises(Temporary, match="is not found"):
        Webhook({"risk": SecretStr("https://slow.example.org/")}, Wire(timeout_s=0.1)).send(told)
    over.set()


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example.org/s3cret", "ftp://x/s3cret", "s3cret", "https://", "https://x/#s3cret"],
)
def test_an_address_that_is_not_allowed_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        Webhook({"risk": SecretStr(url)})
    assert "s3cret" not in str(caught.value)


def test_user_and_password_of_an_address_go_into_the_header(site: Callable[..., Site], told: Message) -> None:
    web = site()
    Webhook({"risk": SecretStr(f"http://desk:pw@127.0.0.1:{web.port}/")}, LOCAL).send(told)
    ((_, headers, _),) = web.asked
    assert headers["Authorization"] == "Basic ZGVzazpwdw=="
    assert headers["Host"] == f"127.0.0.1:{web.port}"


def test_a_name_that_the_settings_do_not_have_waits_for_them(told: Message) -> None:
    with pytest.raises(Temporary, match="no webhook 'other' in the settings"):
        hook(1).send(replace(told, to=Recipient(WEBHOOK, "#other")))
