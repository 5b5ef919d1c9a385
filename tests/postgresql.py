"""A real PostgreSQL for tests and benchmarks: a cluster of its own in a temporary folder, on a free port.

It is thrown away: nothing is synced to the disk. A small shell looks after the server. It waits on a pipe whose other
end this process holds, so that the server stops and its folder goes when this process ends, however it ends.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

DEBIAN = Path("/usr/lib/postgresql")
CREATECLUSTER = "/etc/postgresql-common/createcluster.conf"
PASSWORD = "p@ss/w:rd% " + secrets.token_hex(4)
"""Of every account. It holds what a URL must escape."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "max_connections": "60",
    "log_min_messages": "fatal",
}
# The server is the shell's child. The end of the standard input is the end of this process or of the tests.
KEEPER = """
"$1/postgres" -D "$2/data" >"$2/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT $server 2>/dev/null
wait $server 2>/dev/null
cd / && rm -rf "$2"
"""


def find_postgres() -> Path | None:
    """The folder with PostgreSQL's programs: Debian's, that on the path, or installed from Debian where allowed."""
    found = _installed()
    if found or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Debian would make and start a cluster of its own beside the programs; that is not wanted here.
    for line in (
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "postgresql-common"],
        ["sed", "-i", "s/^#*create_main_cluster.*/create_main_cluster = false/", CREATECLUSTER],
        ["apt-get", "install", "-y", "--no-install-recommends", "postgresql"],
    ):
        subprocess.run(line, env=quiet, capture_output=True, check=False)
    return _installed()


def _installed() -> Path | None:
    versions = [path for path in DEBIAN.glob("*/bin") if (path / "initdb").is_file()]
    if versions:
        return max(versions, key=lambda path: float(path.parent.name))
    program = shutil.which("initdb")
    return Path(program).resolve().parent if program else None


def _account() -> str | None:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


class Cluster:
    """A running server. ``cluster()`` makes a fresh database and returns its URL, password included."""

    def __init__(self, programs: Path) -> None:
        account = _account()
        self.folder = Path(tempfile.mkdtemp(prefix="quantdesk-postgres-"))
        if account:
            shutil.chown(self.folder, account, pwd.getpwnam(account).pw_gid)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        plain = {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)}
        options = {"env": plain, "cwd": "/", "user": account, "extra_groups": [] if account else None}
        initdb = [programs / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "scram-sha-256"]
        more = [f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        subprocess.run([*initdb, *more], check=True, capture_output=True, **options)
        secret.unlink()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        with (self.folder / "data" / "postgresql.conf").open("a") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in {**SETTINGS, "port": self.port}.items())
        # A session of its own: an interrupt from the keyboard is for the tests, which stop the server at their end.
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "keeper", programs, self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )
        self._numbers = count(1)
        self._wait()
        with psycopg.connect(self.admin(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE ROLE desk LOGIN PASSWORD {}").format(PASSWORD))

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.admin(), connect_timeout=5).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    log = (self.folder / "log").read_text()
                    self.stop()
                    raise RuntimeError(f"PostgreSQL did not start:\n{log}") from None
                time.sleep(0.05)
            else:
                return

    def url(self, database: str, user: str = "desk", password: str = PASSWORD) -> str:
        """The address of a database."""
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def admin(self, database: str = "postgres") -> str:
        """The address of a database for the superuser."""
        return self.url(database, "postgres")

    def __call__(self) -> str:
        """Make a fresh, empty database that belongs to the plain role ``desk``; its URL."""
        name = f"desk_{next(self._numbers)}"
        with psycopg.connect(self.admin(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER desk").format(sql.Identifier(name)))
        return self.url(name)

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._keeper.communicate(timeout=60)
