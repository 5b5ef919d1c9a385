"""Runs and messages; real mail servers and web servers on free ports of this machine, and certificates for both."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from quantdesk.reports.deliver.message import Message, of_run
from quantdesk.reports.deliver.recipients import EMAIL, Recipient
from quantdesk.reports.result import Provenance, Run, Status

NOW = dt.datetime(2026, 11, 27, 9, 0, tzinfo=dt.UTC)


def run_of(folder: Path = Path("/nowhere"), **changes: Any) -> Run:
    """A complete run of half a minute that ended at NOW."""
    made = Run(
        id="20261127T085930.000Z-daily_risk-abc123",
        report="daily_risk",
        title="Daily risk",
        status=Status.COMPLETED,
        parameters={"window": 250, "symbols": ["AAPL"]},
        given=("window",),
        seed=None,
        notebook="/somewhere/daily_risk.ipynb",
        notebook_sha256="0" * 64,
        started=NOW - dt.timedelta(seconds=30),
        ended=NOW,
        problem=None,
        labels=("real",),
        provenance=Provenance(),
        folder=folder,
    )
    return replace(made, **changes)


@pytest.fixture
def message() -> Message:
    return of_run(run_of(), Recipient(EMAIL, "ana@example.org"), link="https://hub.example.org/runs/1")


@dataclass(frozen=True)
class Pair:
    """A certificate for 127.0.0.1 and localhost, signed by itself."""

    file: Path
    context: ssl.SSLContext


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
        .not_valid_after(dt.datetime.now(dt.UTC) + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return Pair(folder / "certificate.pem", context)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Inbox:
    """What a mail server took, and what it answers: the first of `answers` each time, ``250 OK`` when there is none."""

    answers: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    taken: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    users: list[tuple[bytes, bytes]] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.recipients:
            return self.recipients.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            self.taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return answer

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.users.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)


Start = Callable[..., Inbox]


@pytest.fixture
def mail_server() -> Iterator[Start]:
    """Start a mail server: ``mail_server(answers=[...], **options of aiosmtpd)``."""
    running: list[Controller] = []

    def start(
        *, answers: tuple[str, ...] = (), recipients: tuple[str, ...] = (), kind: type[SMTP] = SMTP, **options: Any
    ) -> Inbox:
        inbox = Inbox(list(answers), list(recipients))
        if options.pop("authenticate", False):
            options["authenticator"] = inbox.authenticate

        class Made(Controller):
            def factory(self) -> SMTP:
                return kind(self.handler, **self.SMTP_kwargs)

        controller = Made(inbox, hostname="127.0.0.1", port=free_port(), **options)
        controller.start()
        running.append(controller)
        inbox.port = controller.port
        return inbox

    yield start
    for controller in running:
        controller.stop()


@pytest.fixture
def raw_server() -> Iterator[Callable[[Callable[[socket.socket, threading.Event], None]], int]]:
    """Start a server that does with each connection what a function says; gives the port."""
    over = threading.Event()
    listening: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(treat: Callable[[socket.socket, threading.Event], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listening.append(listener)

        def serve() -> None:
            while not over.is_set():
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                with line:
                    try:
                        treat(line, over)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        threads.append(thread)
        return int(listener.getsockname()[1])

    yield start
    over.set()
    for listener in listening:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(timeout=10)


def silent(line: socket.socket, over: threading.Event) -> None:
    """Takes what comes and never says a word."""
    over.wait()


def dripping(text: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Says a byte now and then, for ever."""

    def treat(line: socket.socket, over: threading.Event) -> None:
        for byte in text * 100_000:
            if over.wait(0.02):
                return
            line.sendall(bytes([byte]))

    return treat


@dataclass
class Site:
    """A web server: what it was asked, and what it answers, in turn; the last one stays."""

    answers: list[tuple[int, dict[str, str], bytes]]
    port: int = 0
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Callable[..., Site]]:
    """Start a web server: ``site((200, {}, b"ok"), ..., context=None)``."""
    running: list[http.server.ThreadingHTTPServer] = []

    def start(*answers: tuple[int, dict[str, str], bytes], context: ssl.SSLContext | None = None) -> Site:
        made = Site(list(answers) or [(200, {}, b"ok")])

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                made.asked.append((self.path, dict(self.headers), body))
                code, headers, said = made.answers[0] if len(made.answers) == 1 else made.answers.pop(0)
                self.send_response(code)
                for name, value in {**headers, "Content-Length": str(len(said))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        made.port = server.server_port
        return made

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
