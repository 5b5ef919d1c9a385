"""A notebook of a real hub's server, as JupyterLab has it. Loaded by path, since tests are no package."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from typing import Any

import websocket


class Notebook:
    """A kernel as JupyterLab has it: with the same session after each reconnection, so that nothing said is lost."""

    def __init__(self, browser: Any) -> None:
        self._browser, self._session = browser, uuid.uuid4().hex
        made = browser.server("POST", "api/kernels", json={"name": "quantdesk"})
        assert made.status_code == 201, made.text
        self.number = made.json()["id"]
        self._channel = self._connect(browser)

    def _connect(self, browser: Any) -> websocket.WebSocket:
        address = f"ws://127.0.0.1:{browser.hub.port}/user/{self._browser.name}/api/kernels/{self.number}/channels"
        return websocket.create_connection(
            f"{address}?session_id={self._session}", header=[f"Authorization: token {browser.token}"], timeout=60
        )

    def opened_by(self, browser: Any) -> bool:
        """Whether somebody else gets in."""
        try:
            self._connect(browser).close()
        except websocket.WebSocketBadStatusException as error:
            return error.status_code not in (403, 404)
        return True

    def reconnect(self) -> bool:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self._channel.close()
        try:
            self._channel = self._connect(self._browser)
        except (OSError, websocket.WebSocketException):
            return False
        return True

    def close(self) -> None:
        self._channel.close()

    def begin(self, code: str) -> str:
        """Have a cell computed, and wait until it is; its number, for `end`."""
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "username": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        message = {"header": header | {"session": self._session}, "content": content, "channel": "shell"}
        self._channel.send(json.dumps(message | {"parent_header": {}, "metadata": {}, "buffers": []}))
        while self._told(number)[1] != {"execution_state": "busy"}:
            pass
        return number

    def end(self, number: str) -> str:
        """What the cell printed, once it has ended."""
        printed = []
        while True:
            kind, content = self._told(number)
            assert kind != "error", content
            if kind == "stream":
                printed.append(content["text"])
            if kind == "status" and content["execution_state"] == "idle":
                return "".join(printed)

    def _told(self, number: str) -> tuple[str, dict[str, Any]]:
        """The next word about a cell."""
        deadline = time.monotonic() + 60
        while True:
            opcode, data = self._channel.recv_data(control_frame=True)  # or pings would keep it waiting for ever
            assert time.monotonic() < deadline, "the cell says nothing"
            assert opcode != websocket.ABNF.OPCODE_CLOSE, "the connection was closed"
            told = json.loads(data) if opcode == websocket.ABNF.OPCODE_TEXT else {"parent_header": {}}
            if told["parent_header"].get("msg_id") == number:
                return told["msg_type"], told["content"]

    def is_cut(self) -> bool:
        """Whether the connection ends, which it must before anything can be said of coming back."""
        try:
            while self._channel.recv():
                pass
        except (OSError, websocket.WebSocketException):
            return True
        return True  # an orderly end
