"""JupyterLab as users get it: the extensions load together, templates are copies, nothing is asked of the network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

from quantdesk.hub import kernels, lab
from quantdesk.hub.accounts import Account
from quantdesk.hub.config import HubFiles
from quantdesk.hub.spawner import server_environment

ENV = {"HOME": "/home/ana", "JUPYTER_RUNTIME_DIR": "/run/short", "QUANTDESK_TEMPLATES": "/templates"}


def test_nothing_is_asked_of_the_network() -> None:
    settings = lab.server_settings(ENV)
    assert settings["LabApp"]["news_url"] is None
    assert settings["LabApp"]["extension_manager"] == "readonly"
    assert settings["LabApp"]["check_for_updates_class"] == "jupyterlab.NeverCheckForUpdate"
    told = json.loads((lab.HERE / "config" / "labconfig" / "default_setting_overrides.json").read_text())
    assert told["@jupyterlab/apputils-extension:notification"] == {"checkForUpdates": False, "fetchNews": "false"}


def test_templates_come_from_one_folder_only() -> None:
    templates = lab.server_settings(ENV)["JupyterLabTemplates"]
    assert templates["template_dirs"] == ["/templates"]
    assert not templates["include_default"]
    assert not templates["include_core_paths"]
    assert lab.server_settings({"HOME": "/home/ana"})["JupyterLabTemplates"]["template_dirs"] == []


@pytest.mark.parametrize(("value", "on"), [("true", True), ("false", False), ("", False)])
def test_collaboration_is_opt_in(value: str, on: bool) -> None:
    assert lab.server_settings(ENV | {"QUANTDESK_COLLABORATION": value})["YDocExtension"]["disable_rtc"] is not on
    names = [path.name for path in lab.config_path(isolated=True, collaboration=on)]
    assert names == (["config", "isolated"] if on else ["config", "alone", "isolated"])
    assert [path.name for path in lab.config_path(isolated=False, collaboration=True)] == ["config"]


def test_a_server_ends_itself_after_the_idle_time_of_its_profile() -> None:
    settings = lab.server_settings(ENV | {"QUANTDESK_SERVER_IDLE_S": "1800"})
    assert settings["ServerApp"]["shutdown_no_activity_timeout"] == 1800
    kernels_of_it = {"cull_idle_timeout": 1800, "cull_connected": True, "cull_busy": False}
    assert settings["MappingKernelManager"] == kernels_of_it, "a kernel that is left would keep the server"
    assert set(kernels_of_it) <= set(MappingKernelManager.class_trait_names())
    for unset in ({}, {"QUANTDESK_SERVER_IDLE_S": ""}, {"QUANTDESK_SERVER_IDLE_S": "0"}):
        assert lab.server_settings(ENV | unset)["ServerApp"]["shutdown_no_activity_timeout"] == 0


@pytest.mark.slow
def test_an_idle_server_really_ends(tmp_path: Path) -> None:
    """It looks once a minute."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_PATH": str(lab.HERE / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "run"),
        "QUANTDESK_SERVER_IDLE_S": "1",
    }
    line = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    done = subprocess.run(line, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "No kernels for" in done.stderr


def test_sockets_are_used_where_their_path_is_short_enough() -> None:
    longest = "/" + "r" * (lab.LONGEST_SOCKET - len("/kernel-01234567-89ab-cdef-0123-456789abcdef-ipc-5") - 1)
    assert lab.kernel_transport(longest) == "ipc"
    assert lab.kernel_transport(longest + "r") == "tcp"
    assert lab.kernel_transport(longest[:-1] + "é") == "tcp", "bytes count, not characters"


def test_a_servers_environment_is_complete_and_private(tmp_path: Path) -> None:
    account = Account("ana", "qd-ana", 20001, 20001, str(tmp_path / "homes" / "ana"))
    env = server_environment(account, HubFiles(tmp_path), "/run/x", isolated=True, collaboration=False)
    assert env["HOME"] == account.home
    assert env["USER"] == env["LOGNAME"] == "qd-ana"
    assert not env["SHELL"].endswith("nologin")
    assert env["QUANTDESK_STATE"] == str(tmp_path)
    for name in ("TMPDIR", "QUANTDESK_REPORTS_ROOT"):
        assert Path(env[name]).is_relative_to(account.home)


def listed(command: str, *, collaboration: bool) -> list[tuple[str, str]]:
    """What `jupyter ... list` tells of a server's extensions: name and state of each."""
    path = ":".join(map(str, lab.config_path(isolated=True, collaboration=collaboration)))
    line = [sys.executable, "-m", *command.split(), "list"]
    env = {
        "PATH": str(Path(sys.executable).parent),
        "JUPYTER_CONFIG_PATH": path,
        "HOME": "/nonexistent",
        "JUPYTER_NO_CONFIG": "",
    }
    done = subprocess.run(line, capture_output=True, text=True, env=env)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    return re.findall(r"^\s+(\S+) v?\S*\s*(enabled OK|disabled OK|OK)\b", plain, re.MULTILINE)


@pytest.mark.parametrize("collaboration", [False, True])
def test_every_browser_extension_is_enabled_and_fits(collaboration: bool) -> None:
    states = dict(listed("jupyterlab.labextensions", collaboration=collaboration))
    assert {states[name] for name in lab.EXTENSIONS} == {"enabled OK"}
    assert {states[name] for name in lab.COLLABORATION} == {"enabled OK" if collaboration else "disabled OK"}


@pytest.mark.xdist_group("hub")
def test_extensions_load_together_in_a_real_server(desk: Any) -> None:
    log = (desk.hub.files.server_logs / "ana.log").read_text()
    loaded = set(re.findall(r"(\w+) \| extension was successfully loaded", log))
    assert {
        "jupyter_resource_usage", "jupyter_scheduler", "jupyter_server_terminals", "jupyter_server_ydoc", "jupyterhub",
        "jupyterlab", "jupyterlab_chat", "jupyterlab_git", "jupyterlab_templates", "nbdime",
    } <= loaded  # fmt: skip
    assert "Traceback" not in log
    assert not re.search(r"\[E .*|error loading|failed", log, re.IGNORECASE)


@pytest.mark.xdist_group("hub")
def test_the_page_offers_the_extensions_and_leaves_collaboration_out(desk: Any) -> None:
    page = desk.ana.server("GET", "lab").text
    config = json.loads(page.split('id="jupyter-config-data" type="application/json">')[1].split("</script>")[0])
    offered = {entry["name"] for entry in config["federated_extensions"]}
    assert set(lab.EXTENSIONS) <= offered
    assert set(lab.COLLABORATION) <= set(config["disabledExtensions"])
    assert not set(lab.EXTENSIONS) & set(config["disabledExtensions"])
    assert "@jupyterlab/notebook-extension:cell-executor" not in config["disabledExtensions"]
    assert config["news"] == {"disabled": True}


@pytest.mark.xdist_group("hub")
def test_the_quantdesk_kernel_is_the_default(desk: Any) -> None:
    specs = desk.ana.server("GET", "api/kernelspecs").json()
    assert specs["default"] == "quantdesk"
    assert specs["kernelspecs"]["quantdesk"]["spec"]["argv"][0] == str(desk.hub.ground.python)
    assert desk.ana.run("import quantdesk; print(quantdesk.__version__)").strip()


@pytest.mark.xdist_group("hub")
def test_a_template_is_offered_as_content_to_copy(desk: Any) -> None:
    names = desk.ana.server("GET", "templates/names").json()
    assert names["templates"] == {"Research": [{"name": "/Research/small.ipynb"}]}
    got = desk.ana.server("GET", "templates/get", params={"template": "/Research/small.ipynb"}).json()
    assert json.loads(got["content"])["nbformat"] == 4


@pytest.mark.xdist_group("hub")
def test_a_kernel_that_something_else_starts_is_private_too(desk: Any, tmp_path: Path) -> None:
    """As jupyter-scheduler, nbconvert and a script do: with a manager that knows nothing of the server's settings."""
    if not kernels.registered():
        pytest.skip("this environment was installed before quantdesk had the entry point; run make test again")
    code = """
from jupyter_client.manager import start_new_kernel
import os
manager, client = start_new_kernel(kernel_name="quantdesk")
print(manager.transport, manager.ip.startswith(os.environ["JUPYTER_RUNTIME_DIR"]))
reply = client.execute_interactive("print(6 * 7)", timeout=30)
manager.restart_kernel(now=True)
client.wait_for_ready(30)
client.execute_interactive("print('again')", timeout=30)
client.stop_channels()
manager.shutdown_kernel(now=True)
print(sorted(name for name in os.listdir(os.environ["JUPYTER_RUNTIME_DIR"]) if os.path.basename(manager.ip) in name))
"""
    assert desk.ana.run(code).splitlines() == ["ipc True", "42", "again", "[]"]
