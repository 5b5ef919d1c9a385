"""Two users on one machine: each tries, from a kernel of his own, to read what is not his."""

from __future__ import annotations

import json
import pwd
import stat
from pathlib import Path
from typing import Any

import psutil
import pytest

CANARY = "what the hub was started with"
pytestmark = pytest.mark.xdist_group("hub")

TRY = """
import errno, json, os
def attempt(path):
    try:
        if os.path.isdir(path):
            os.listdir(path)
        else:
            open(path, "rb").read(1)
        return "read"
    except OSError as error:
        return errno.errorcode[error.errno]
print(json.dumps({path: attempt(path) for path in PATHS}))
"""


def uid(desk: Any, name: str) -> int:
    """The number that the hub's ledger records for a user."""
    accounts = json.loads(desk.hub.files.accounts.read_text())["accounts"]
    return next(int(account["uid"]) for account in accounts if account["user"] == name)


def attempts(user: Any, paths: list[Path]) -> dict[str, str]:
    return dict(json.loads(user.run(f"PATHS = {[str(path) for path in paths]!r}\n{TRY}")))


def test_each_server_runs_under_an_account_of_its_own(desk: Any) -> None:
    facts = (
        "import json, os; print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), os.getcwd(), os.umask(0)]))"
    )
    seen = {}
    for user in (desk.ana, desk.bob):
        uids, gids, groups, where, mask = json.loads(user.run(facts))
        assert len(set(uids)) == len(set(gids)) == 1
        assert uids[0] >= 1000
        assert groups in ([], gids[:1])
        assert mask == 0o077
        account = pwd.getpwuid(uids[0])
        assert account.pw_name.startswith(f"qd-{user.name}")
        assert account.pw_shell.endswith("nologin")
        assert where == account.pw_dir == str(desk.hub.files.homes / user.name)
        seen[user.name] = uids[0]
    assert seen["ana"] != seen["bob"]


def test_one_user_cannot_read_what_is_the_other_users_or_the_hubs(desk: Any, real: Any) -> None:
    desk.bob.run("import pathlib; pathlib.Path('secret.txt').write_text('42'); pathlib.Path('open.txt').touch(0o666)")
    files, home = desk.hub.files, desk.hub.files.homes / "bob"
    reports = files.state / "reports"
    (reports / "runs").mkdir(exist_ok=True)
    runtimes = [Path(process.environ()["JUPYTER_RUNTIME_DIR"]) for process in servers(desk, "bob", real.find)]
    assert runtimes
    closed = [
        home, home / "secret.txt", home / "open.txt", home / ".jupyter", files.homes, files.root, files.database,
        files.cookie_secret, files.accounts, files.first_login, files.log, files.server_logs,
        files.server_logs / "ana.log", files.root / "proxy.pid", reports, reports / "runs",
        *runtimes, *(path for runtime in runtimes for path in runtime.iterdir()),
    ]  # fmt: skip
    assert set(attempts(desk.ana, closed).values()) <= {"EACCES", "EPERM"}
    assert set(attempts(desk.bob, [home, home / "secret.txt"]).values()) == {"read"}, "the attempts themselves work"


def test_a_terminal_gets_no_further_than_a_kernel(desk: Any) -> None:
    files = desk.hub.files
    command = f"cat {files.cookie_secret}; ls {files.homes}/bob {files.root}; su -c id; sudo -n id; id -u"
    said = desk.ana.run(f"import subprocess; print(subprocess.getoutput({command!r}))")
    assert said.count("Permission denied") == 3
    assert "uid=0" not in said
    assert said.split()[-1] == str(uid(desk, "ana"))


def test_users_cannot_write_to_what_they_share(desk: Any) -> None:
    files = desk.hub.files
    paths = [files.state, files.homes, files.lab, files.templates, files.templates / "Research", files.proxy]
    code = f"""
import os
for path in {[str(path) for path in paths]!r}:
    try:
        open(os.path.join(path, "planted"), "w")
        print("wrote", path)
    except PermissionError:
        pass
    try:
        os.rename(path, path + "-moved")
        print("moved", path)
    except PermissionError:
        pass
"""
    assert desk.ana.run(code) == ""


def test_market_data_and_features_can_be_read(desk: Any) -> None:
    market = desk.hub.state / "market"
    market.mkdir(exist_ok=True)
    (market / "bars.txt").write_text("AAPL")
    (market / "bars.txt").chmod(0o644)
    market.chmod(0o755)
    assert set(attempts(desk.ana, [market, market / "bars.txt"]).values()) == {"read"}


def test_a_server_gets_an_environment_of_its_own(desk: Any, real: Any) -> None:
    """What the hub was started with does not reach the users, and none of its secrets does."""
    (server,) = servers(desk, "ana", real.find)
    env = server.environ()
    taken = {"LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    ours = {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "TMPDIR", "JUPYTER_CONFIG_PATH", "JUPYTER_PATH"}
    ours |= {"JUPYTER_RUNTIME_DIR", "JUPYTER_DEFAULT_PROVISIONER_NAME", "MPLCONFIGDIR", "LC_CTYPE", "GIT_CONFIG_SYSTEM"}
    others = {name for name in env if not name.startswith(("JUPYTERHUB_", "JPY_", "QUANTDESK_"))}
    assert others <= taken | ours
    printed = desk.ana.run("import os; print(dict(os.environ))")
    port = str(desk.hub.port)
    (hub,) = real.find(lambda one: one.environ().get("QUANTDESK_PORT") == port and "jupyterhub" in one.cmdline())
    assert hub.environ()["CANARY_TOKEN"] == CANARY
    assert CANARY not in printed
    assert CANARY not in str(env)
    assert "CONFIGPROXY_AUTH_TOKEN" not in printed
    assert "/root" not in env["PATH"]
    assert env["TMPDIR"].startswith(env["HOME"])
    assert env["QUANTDESK_REPORTS_ROOT"].startswith(env["HOME"])


def servers(desk: Any, name: str, find: Any) -> list[psutil.Process]:
    """The single-user servers of a user."""
    number = uid(desk, name)
    return list(find(lambda one: one.uids().real == number and "jupyterhub.singleuser" in one.cmdline()))


def test_one_user_sees_neither_the_environment_nor_the_files_of_the_others_processes(desk: Any, real: Any) -> None:
    (server,) = servers(desk, "bob", real.find)
    base = Path("/proc", str(server.pid))
    tried = attempts(desk.ana, [base / "environ", base / "cwd" / "secret.txt", base / "fd", base / "maps"])
    assert "read" not in tried.values()
    assert not any("token" in part.lower() for part in server.cmdline())
    kill = f"""
import os
try:
    os.kill({server.pid}, 0)
    print("reached")
except PermissionError:
    print("refused")
"""
    assert desk.ana.run(kill) == "refused\n"


def test_one_users_token_opens_no_other_server_and_nothing_of_the_hub(desk: Any, real: Any) -> None:
    assert desk.ana.server("GET", "api/contents").status_code == 200
    assert desk.ana.server("GET", "api/contents", of="bob").status_code == 403
    (server,) = servers(desk, "bob", real.find)
    port = server.environ()["JUPYTERHUB_SERVICE_URL"].split(":")[2].split("/")[0]
    code = f"""
import json, os, urllib.error, urllib.request
def ask(url, token=os.environ["JUPYTERHUB_API_TOKEN"]):
    request = urllib.request.Request(url, headers={{"Authorization": "token " + token}})
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code
hub = os.environ["JUPYTERHUB_API_URL"]
print(json.dumps([ask("http://127.0.0.1:{port}/user/bob/api/contents"), ask(hub + "/users"), ask(hub + "/users/bob"),
                  ask(hub + "/users/ana"), ask(hub + "/proxy")]))
"""
    assert json.loads(desk.ana.run(code)) == [403, 403, 404, 200, 403]


def test_kernels_of_others_cannot_be_listened_to(desk: Any) -> None:
    """No kernel publishes on TCP: whoever connected there could read every output."""
    number = uid(desk, "bob")
    code = "import json, ipykernel.connect as c; print(json.dumps(json.load(open(c.get_connection_file()))))"
    for kernel in ("quantdesk", "python3"):
        connection = json.loads(desk.bob.run(code, kernel=kernel))
        assert connection["transport"] == "ipc"
        folder = Path(connection["ip"]).parent
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
        assert folder.stat().st_uid == number


def test_the_debugger_that_listens_without_a_password_is_not_offered(desk: Any) -> None:
    page = desk.ana.server("GET", "lab").text
    config = json.loads(page.split('id="jupyter-config-data" type="application/json">')[1].split("</script>")[0])
    assert "@jupyterlab/debugger-extension" in config["disabledExtensions"]


def test_the_proxy_does_not_run_as_root(desk: Any, real: Any) -> None:
    port = str(desk.hub.port)
    found = real.find(lambda one: port in one.cmdline() and "configurable-http-proxy" in " ".join(one.cmdline()))
    assert [process.uids().real for process in found] == [uid(desk, "@proxy")]
    assert found[0].uids().real not in (0, uid(desk, "ana"), uid(desk, "bob"))


def test_everything_listens_on_127_0_0_1(desk: Any, real: Any) -> None:
    numbers = {account["uid"] for account in json.loads(desk.hub.files.accounts.read_text())["accounts"]}
    state = str(desk.hub.state)
    ours = real.find(lambda one: one.uids().real in numbers or one.environ().get("QUANTDESK_STATE") == state)
    pids = {process.pid for process in ours}
    listening = [one for one in psutil.net_connections("inet") if one.status == psutil.CONN_LISTEN and one.pid in pids]
    assert len(listening) >= 5
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
