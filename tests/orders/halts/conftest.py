"""What the tests of halts share: the two feeds as text, and a real server that serves them, well or badly."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

HEADER = "Halt Date,Halt Time,Symbol,Name,Exchange,Reason,Resume Date,NYSE Resume Time"


def rss_text(*items: dict[str, str], declared: int | None = None) -> str:
    """The feed of Nasdaq Trader as it is sent; a value of "" becomes an element that closes itself."""
    parts = []
    for item in items:
        fields = {
            "HaltDate": "11/24/2026",
            "HaltTime": "10:00:00",
            "IssueSymbol": "ABC",
            "IssueName": "Abc Corp Cmn",
            "Market": "NASDAQ",
            "ReasonCode": "T1",
            "PauseThresholdPrice": "",
            "ResumptionDate": "",
            "ResumptionQuoteTime": "",
            "ResumptionTradeTime": "",
            **item,
        }
        body = "\r\n".join(
            f"      <ndaq:{name}>{value}</ndaq:{name}>" if value else f"      <ndaq:{name} />"
            for name, value in fields.items()
            if value is not None
        )
        table = "<table><tr><th>Halt Date</th></tr><tr><td>&nbsp;</td></tr></table>"
        parts.append(
            f"    <item>\r\n      <title>{fields['IssueSymbol']}</title>\r\n"
            f"      <pubDate>Tue, 24 Nov 2026 05:00:00 GMT</pubDate>\r\n{body}\r\n"
            f"      <description><![CDATA[{table}]]></description>\r\n    </item>"
        )
    number = len(items) if declared is None else declared
    inner = "\r\n".join(parts)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\r\n'
        '<rss version="2.0" xmlns:ndaq="http://www.nasdaqtrader.com/">\r\n  <channel>\r\n'
        "    <title>NASDAQTrader.com</title>\r\n    <link>http://www.nasdaqtrader.com</link>\r\n"
        "    <description>NASDAQ Trade Halts</description>\r\n    <ttl>1</ttl>\r\n"
        f"    <ndaq:numItems>{number}</ndaq:numItems>\r\n{inner}\r\n  </channel>\r\n</rss>\r\n"
    )


def csv_text(*rows: str) -> str:
    """The file of the New York Stock Exchange."""
    return "\n".join([HEADER, *rows]) + "\n"


@pytest.fixture(scope="session")
def rss() -> Callable[..., str]:
    return rss_text


@pytest.fixture(scope="session")
def nyse() -> Callable[..., str]:
    return csv_text


class Served:
    """A server on a free port of 127.0.0.1; what it answers can be changed while it runs."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.headers: dict[str, str] = {}
        self.etag = ""
        self.delay_s = 0.0
        self.drip_s = 0.0
        self.cut = 0
        self.requests: list[tuple[float, str, dict[str, str]]] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                served.requests.append((time.monotonic(), self.path, {k.lower(): v for k, v in self.headers.items()}))
                time.sleep(served.delay_s)
                status, body = served.status, served.body
                if served.etag and self.headers.get("If-None-Match") == served.etag:
                    status, body = 304, b""
                self.send_response(status)
                for name, value in served.headers.items():
                    self.send_header(name, value)
                if served.etag:
                    self.send_header("ETag", served.etag)
                if status != 304:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    for byte in body if served.drip_s else ():
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(served.drip_s)
                    if not served.drip_s:
                        self.wfile.write(body[: len(body) - served.cut])
                except (BrokenPipeError, ConnectionResetError):
                    pass
                if served.cut:
                    self.close_connection = True

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/feed"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def says(self, text: str) -> None:
        self.body = text.encode()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def served() -> Iterator[Served]:
    server = Served()
    yield server
    server.stop()


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/feed"
