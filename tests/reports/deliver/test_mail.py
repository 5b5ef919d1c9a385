"""Mail against real servers: what arrives, what is refused for now and for good, what hangs, and what stays secret."""

from __future__ import annotations

import email
import email.policy
import socket
import threading
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from quantdesk.errors import BadInput
from quantdesk.reports.deliver.channel import Permanent, Temporary
from quantdesk.reports.deliver.mail import Mail, MailServer
from quantdesk.reports.deliver.message import Message, of_run
from quantdesk.reports.deliver.recipients import EMAIL, Recipient
from quantdesk.reports.result import Problem, Status

from .conftest import Pair, Start, dripping, free_port, run_of, silent

SENDER = "quantdesk@example.org"


def mail(port: int, options: str = "?tls=off", scheme: str = "smtp", who: str = "", **more: Any) -> Mail:
    return Mail(MailServer.parse(SecretStr(f"{scheme}://{who}127.0.0.1:{port}{options}")), SENDER, **more)


def read(content: bytes) -> EmailMessage:
    made = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(made, EmailMessage)
    return made


def test_text_html_and_page_arrive(mail_server: Start, tmp_path: Path) -> None:
    inbox = mail_server()
    (tmp_path / "report.html").write_text("<p>Größe: 1</p>")
    told = of_run(run_of(tmp_path), Recipient(EMAIL, "ana@example.org"), link="https://hub.example.org/runs/1")
    mail(inbox.port).send(told)
    ((sender, to, content),) = inbox.taken
    assert (sender, to) == (SENDER, ["ana@example.org"])
    got = read(content)
    assert got["Subject"] == "✓ Daily risk: completed"
    assert got["To"] == "ana@example.org"
    assert got["From"] == f"quantdesk <{SENDER}>"
    assert got["Message-ID"] == f"<{told.id}@example.org>"
    body, html = got.get_body(("plain",)), got.get_body(("html",))
    assert body is not None
    assert html is not None
    assert body.get_content().splitlines() == told.text.splitlines()
    assert html.get_content().splitlines() == told.html.splitlines()
    (page,) = got.iter_attachments()
    assert page.get_filename() == "20261127T085930.000Z-daily_risk-abc123.html"
    assert page.get_payload(decode=True).decode() == "<p>Größe: 1</p>"
    assert content.isascii()


def test_each_attempt_is_the_same_mail(mail_server: Start, message: Message) -> None:
    inbox = mail_server()
    mail(inbox.port).send(message)
    mail(inbox.port).send(message)
    first, second = (content for _, _, content in inbox.taken)
    assert first == second


def test_a_page_that_is_too_large_is_left_out(mail_server: Start, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_bytes(b"x" * 5000)
    told = of_run(run_of(tmp_path), Recipient(EMAIL, "ana@example.org"))
    ours, theirs = mail_server(), mail_server(data_size_limit=6000)
    mail(ours.port, attach_bytes=4999).send(told)
    mail(theirs.port).send(told)
    for inbox in (ours, theirs):
        got = read(inbox.taken[0][2])
        assert list(got.iter_attachments()) == []
        body = got.get_body(("plain",))
        assert body is not None
        assert "too large to attach" in body.get_content()
    mail(ours.port, attach_bytes=5000).send(told)
    assert len(list(read(ours.taken[1][2]).iter_attachments())) == 1


def test_not_now_is_tried_again_and_no_is_not(mail_server: Start, message: Message) -> None:
    inbox = mail_server(answers=("451 busy", "554 5.7.1 spam"))
    channel = mail(inbox.port)
    with pytest.raises(Temporary, match=r"answers 451 \(busy\)"):
        channel.send(message)
    with pytest.raises(Permanent, match="answers 554"):
        channel.send(message)
    channel.send(message)
    assert len(inbox.taken) == 1


@pytest.mark.parametrize(("answer", "kind"), [("450 greylisted", Temporary), ("550 no such user", Permanent)])
def test_a_refused_recipient(mail_server: Start, message: Message, answer: str, kind: type[Exception]) -> None:
    inbox = mail_server(recipients=(answer,))
    with pytest.raises(kind, match=answer[4:]):
        mail(inbox.port).send(message)
    assert inbox.taken == []


def test_starttls_with_a_password(mail_server: Start, message: Message, certificate: Pair) -> None:
    inbox = mail_server(tls_context=certificate.context, require_starttls=True, auth_required=True, authenticate=True)
    mail(inbox.port, "", who="desk:right@", ca_file=certificate.file).send(message)
    assert inbox.users == [(b"desk", b"right")]
    assert len(inbox.taken) == 1
    with pytest.raises(Temporary, match="answers 535") as caught:
        mail(inbox.port, "", who="desk:wr0ng@", ca_file=certificate.file).send(message)
    assert "wr0ng" not in str(caught.value)
    assert "wr0ng" not in repr(MailServer.parse(SecretStr("smtp://desk:wr0ng@mail.example.org")))


def test_tls_from_the_beginning(mail_server: Start, message: Message, certificate: Pair) -> None:
    inbox = mail_server(ssl_context=certificate.context)
    # aiosmtpd knocks once without TLS while it starts; that is none of ours.
    mail(inbox.port, "", scheme="smtps", ca_file=certificate.file).send(message)
    assert len(inbox.taken) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_that_nobody_knows_is_refused(
    mail_server: Start, message: Message, certificate: Pair, scheme: str
) -> None:
    options = {"tls_context": certificate.context} if scheme == "smtp" else {"ssl_context": certificate.context}
    inbox = mail_server(**options)
    with pytest.raises(Temporary, match="certificate is not trusted"):
        mail(inbox.port, "", scheme=scheme).send(message)
    assert inbox.taken == []


def test_no_mail_goes_out_in_the_clear_unless_that_is_asked_for(mail_server: Start, message: Message) -> None:
    inbox = mail_server()
    with pytest.raises(Temporary, match="offers no STARTTLS"):
        mail(inbox.port, "").send(message)
    assert inbox.taken == []


def test_a_server_that_says_nothing_is_left(raw_server: Any, message: Message) -> None:
    with pytest.raises(Temporary, match="no answer in time"):
        mail(raw_server(silent), timeout_s=0.2).send(message)


def test_a_server_that_drips_is_cut_off(raw_server: Any, message: Message) -> None:
    port = raw_server(dripping(b"2"))
    with pytest.raises(Temporary, match=r"took more than 0\.3 s"):
        mail(port, timeout_s=5, total_s=0.3).send(message)


def test_a_server_that_breaks_off_after_the_mail_leaves_it_open(raw_server: Any, message: Message) -> None:
    """Whether it was taken nobody knows: it is tried again, with the same Message-ID."""

    def treat(line: socket.socket, over: threading.Event) -> None:
        with line.makefile("rb") as lines:
            line.sendall(b"220 hello\r\n")
            for given in lines:
                if given.upper().startswith(b"DATA"):
                    line.sendall(b"354 go on\r\n")
                    while lines.readline() != b".\r\n":
                        pass
                    return
                line.sendall(b"250 OK\r\n")

    with pytest.raises(Temporary, match="fails"):
        mail(raw_server(treat)).send(message)


def test_nobody_listens(message: Message) -> None:
    with pytest.raises(Temporary, match="Connection refused"):
        mail(free_port()).send(message)


@pytest.mark.parametrize(
    "address",
    [
        "ana@example.org\r\nRCPT TO:<eve@example.org>",
        "ana@example.org>\r\nDATA",
        '"a b"@example.org',
        "Ana <ana@example.org>",
        "ana",
        "ana@exa mple.org",
        "ana@example.org,eve@example.org",
        "änne@example.org",
        "x" * 65 + "@example.org",
        "",
    ],
)
def test_an_address_that_is_more_than_one_never_reaches_the_server(
    mail_server: Start, message: Message, address: str
) -> None:
    inbox = mail_server()
    with pytest.raises(Permanent, match="is no mail address"):
        mail(inbox.port).send(replace(message, to=Recipient(EMAIL, address)))
    assert inbox.taken == []


def test_a_title_cannot_add_a_header_or_a_part(mail_server: Start, tmp_path: Path) -> None:
    hostile = "Risk\r\nBcc: eve@example.org\r\n\r\n<script>alert(1)</script>\u202e\0"
    problem = Problem("=?utf-8?q?x?= \r\n.\r\nQUIT", 3, "id", "</div><b>")
    run = run_of(tmp_path, title=hostile, problem=problem, status=Status.FAILED, report="a\nb", id='a/../b\n"c')
    (tmp_path / "report.html").write_text("page\r\n.\r\nQUIT\r\n")
    inbox = mail_server()
    mail(inbox.port).send(of_run(run, Recipient(EMAIL, "ana@example.org")))
    ((_, to, content),) = inbox.taken
    assert to == ["ana@example.org"]
    got = read(content)
    assert (
        got.keys()
        == [
            "Message-ID",
            "Date",
            "From",
            "To",
            "Subject",
            "Auto-Submitted",
            "MIME-Version",
            "Content-Type",
            "X-Peer",
            "X-MailFrom",
            "X-RcptTo",
        ][: len(got.keys())]
    )
    assert "Bcc: eve@example.org <script>" in got["Subject"]
    html = got.get_body(("html",))
    assert html is not None
    assert "<script" not in html.get_content()
    assert "<b>" not in html.get_content()
    (page,) = got.iter_attachments()
    assert page.get_filename() == "a-..-b-c.html"
    assert page.get_payload(decode=True) == b"page\r\n.\r\nQUIT\r\n"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "smtp://",
        "smtp://host:port",
        "smtp://host:99999",
        "smtp://user:s3cret@host?tls=off",
        "smtps://host?tls=off",
        "smtp://host?starttls=no",
        "smtp://host?tls=maybe",
        "smtp://host/inbox",
        "smtp://user:s3cret/%@host",
        "s3cret",
    ],
)
def test_an_address_of_a_server_that_cannot_be_used_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        MailServer.parse(SecretStr(url))
    assert "s3cret" not in str(caught.value)


def test_an_address_of_a_server_is_taken_apart() -> None:
    found = MailServer.parse(SecretStr("smtp://desk%40example.org:p%3Aw@mail.example.org"))
    assert (found.host, found.port, found.tls, found.user) == ("mail.example.org", 587, "starttls", "desk@example.org")
    assert found.password == SecretStr("p:w")
    assert MailServer.parse(SecretStr("smtps://mail.example.org")).port == 465


def test_a_sender_that_is_no_address_is_refused() -> None:
    with pytest.raises(BadInput, match="is no sender"):
        Mail(MailServer("127.0.0.1", 25, "off"), "quantdesk\n")


def test_a_full_session_ends_with_a_farewell(raw_server: Any, message: Message) -> None:
    """A server that is told QUIT need not guess whether the client died; nobody waits for its answer."""
    said: list[bytes] = []
    is_over = threading.Event()

    def treat(line: socket.socket, over: threading.Event) -> None:
        with line.makefile("rb") as lines:
            line.sendall(b"220 hello\r\n")
            for given in iter(lines.readline, b""):
                said.append(given.strip().upper())
                if said[-1] == b"DATA":
                    line.sendall(b"354 go on\r\n")
                    while lines.readline() != b".\r\n":
                        pass
                if said[-1] != b"QUIT":
                    line.sendall(b"250 OK\r\n")
        is_over.set()

    mail(raw_server(treat)).send(message)
    assert is_over.wait(60)
    assert [words.split()[0] for words in said] == [b"EHLO", b"MAIL", b"RCPT", b"DATA", b"QUIT"]
