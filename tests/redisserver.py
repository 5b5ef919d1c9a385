"""A real Redis for tests and benchmarks: on a free port of 127.0.0.1, behind a password, with nothing on the disk.

A small shell looks after the server. It waits on a pipe whose other end this process holds, so that the server stops
when this process ends, however it ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from urllib.parse import quote

import redis

PASSWORD = "p@ss/w:rd% " + secrets.token_hex(4)
"""It holds what a URL must escape."""
KEEPER = """
"$1" "$2/redis.conf" >"$2/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -KILL $server 2>/dev/null
wait $server 2>/dev/null
cd / && rm -rf "$2"
"""
DATABASES = 4096


def find_redis() -> str | None:
    """``redis-server`` of this machine: on the path, or installed from Debian where that is allowed."""
    found = shutil.which("redis-server")
    if found or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    # Debian would start a server of its own beside the program; that is not wanted here.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for line in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "redis-server"]):
        subprocess.run(line, env=quiet, capture_output=True, check=False)
    return shutil.which("redis-server")


class Server:
    """A running server. ``server()`` gives the URL of an empty database, password included."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._numbers = count(0)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.start()

    def start(self) -> None:
        """Start it, on the port that it had before; its data are gone."""
        self.folder = Path(tempfile.mkdtemp(prefix="quantdesk-redis-"))
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "requirepass": f'"{PASSWORD}"',
            "databases": DATABASES,
            "save": '""',
            "appendonly": "no",
            "dir": self.folder,
        }
        (self.folder / "redis.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "keeper", self._program, self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                with redis.Redis(port=self.port, password=PASSWORD) as client:
                    client.ping()
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    log = (self.folder / "log").read_text()
                    self.stop()
                    raise RuntimeError(f"Redis did not start:\n{log}") from None
                time.sleep(0.02)
            else:
                return

    def url(self, database: int = 0, password: str = PASSWORD) -> str:
        """The address of a database."""
        return f"redis://:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def __call__(self) -> str:
        """The URL of a database that nobody has used yet."""
        return self.url(next(self._numbers) % DATABASES)

    def stop(self) -> None:
        """Stop the server, at once."""
        self._keeper.communicate(timeout=60)
