"""The PostgreSQL that tests use: fresh databases, and gone with the process that started it, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg

CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from postgresql import Cluster, find_postgres
cluster = Cluster(find_postgres())
print(cluster.folder, cluster.port, flush=True)
time.sleep(600)
"""


def test_each_database_is_fresh_and_its_owner_is_no_superuser(postgres):
    first, second = postgres(), postgres()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE here (one int)")
    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('here')").fetchone() == (None,)
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)


def test_a_killed_test_run_leaves_no_server_and_no_folder(postgres):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    folder, port = child.stdout.readline().split()
    server = int((Path(folder) / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    deadline = time.monotonic() + 30
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()
    assert not Path(f"/proc/{server}").exists()
    assert port.isdecimal()
