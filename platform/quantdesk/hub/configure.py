"""JupyterHub's settings, put together by plain functions. ``jupyterhub_config.py`` calls `configure` and nothing else.

An edge module: it prepares the state directory and picks free ports.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub import away, database, proxy, service
from quantdesk.hub.accounts import Accounts, own_account, prepare_state
from quantdesk.hub.auth.wiring import wire
from quantdesk.hub.config import ADDRESS, HubConfig, HubFiles
from quantdesk.hub.held import held_port
from quantdesk.hub.lab import git
from quantdesk.hub.quota import QuotaConfig
from quantdesk.hub.sharing.config import SharingConfig
from quantdesk.hub.sweep import MARK, marked
from quantdesk.hub.tether import LAUNCHER, outlive, tethered
from quantdesk.reports import kernelspec
from quantdesk.reports.notebooks import NotebooksConfig

__all__ = ["CULLER_SCOPES", "configure", "forget_passwords", "free_ports", "link_templates"]

HERE = Path(__file__).parent
FIRST_FREE_PORT = 1024
CULLER = "idle-culler"
CULLER_SCOPES = ("list:users", "read:users:activity", "read:servers", "delete:servers")
"""All that the service which stops idle servers may do."""


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((ADDRESS, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def link_templates(files: HubFiles, notebooks: Path) -> None:
    """Offer the notebooks as templates: jupyterlab-templates looks into the folders below the one that it is given.

    A link, so that a notebook that was changed is offered at once. Users cannot write there.
    """
    link = files.templates / "Research"
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and link.readlink() == notebooks:
        return
    if link.exists() and not link.is_symlink():
        raise EnvironmentProblem(f"{link} is not a link.", "Move it away: the hub puts a link to the notebooks there.")
    fresh = link.with_name(".Research.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(notebooks)
    fresh.replace(link)


def configure(c: Any, config: HubConfig | None = None, files: HubFiles | None = None) -> None:
    """Fill in JupyterHub's configuration object and prepare what the hub needs on disk.

    Parameters
    ----------
    c
        The object that ``get_config()`` returns.
    config, files
        None reads the environment.

    Raises
    ------
    EnvironmentProblem
        The proxy is not installed, or the state directory cannot be prepared.
    """
    config = config or HubConfig.from_env()
    files = files or HubFiles()
    QuotaConfig.from_env()  # a wrong one keeps the hub from starting, not users from their servers
    os.environ[MARK] = marked(files.state)
    if LAUNCHER in os.environ:
        outlive(int(os.environ[LAUNCHER]))
    prepare_state(files, isolated=config.isolated)
    os.umask(0o022)  # the kernel and the templates are for every user to read
    kernelspec.install(files.lab)
    git.install(files.lab)
    link_templates(files, NotebooksConfig.from_env().folder)
    os.umask(0o077)  # the database, the cookie secret and the logs are nobody else's
    hub_port, proxy_port = free_ports(2)
    hub_port = held_port() or hub_port
    away.say_so()
    _addresses(c, config, files, hub_port, proxy_port)
    wire(c, config, files)
    _servers(c, config, files)
    _pages(c, config, files)
    c.JupyterHub.services, c.JupyterHub.load_roles = [], []
    _culler(c, config)
    service.register(c, config)
    forget_passwords()


def _addresses(c: Any, config: HubConfig, files: HubFiles, hub_port: int, proxy_port: int) -> None:
    c.JupyterHub.bind_url = f"http://{ADDRESS}:{config.port}"
    c.JupyterHub.hub_ip = ADDRESS
    c.JupyterHub.hub_port = hub_port
    c.JupyterHub.db_url = database.address(config, files)
    c.JupyterHub.db_kwargs = {"pool_pre_ping": True}  # a server that was away does not cost the next request
    c.JupyterHub.cookie_secret_file = str(files.cookie_secret)
    c.JupyterHub.cleanup_servers = True
    c.JupyterHub.cleanup_proxy = True
    c.ConfigurableHTTPProxy.api_url = f"http://{ADDRESS}:{proxy_port}"
    c.ConfigurableHTTPProxy.auth_token = secrets.token_hex(24)
    # What everybody may talk to does not run as root, unless the port can be had by root only.
    lowly = config.isolated and config.port >= FIRST_FREE_PORT
    account = Accounts(files).service("proxy") if lowly else None
    c.ConfigurableHTTPProxy.command = tethered(
        proxy.command(files.state), (account.uid, account.gid) if account else None
    )
    c.ConfigurableHTTPProxy.pid_file = str(files.root / "proxy.pid")


def forget_passwords() -> None:
    """Take addresses with a password out of this process's environment, which the proxy and other services inherit."""
    for name, value in list(os.environ.items()):
        if name.startswith("QUANTDESK_") and "://" in value and "@" in value:
            del os.environ[name]


def _servers(c: Any, config: HubConfig, files: HubFiles) -> None:
    from quantdesk.hub.limits.given import all_in
    from quantdesk.hub.limits.limiting import chosen, form
    from quantdesk.hub.limits.share import fitting
    from quantdesk.hub.limits.watch import machine
    from quantdesk.hub.queued import START_S, WAIT_S
    from quantdesk.hub.spawner import KEPT, single_user_command

    c.JupyterHub.spawner_class = "quantdesk.hub.spawner.DeskSpawner"
    c.JupyterHub.allow_named_servers = False
    c.JupyterHub.concurrent_spawn_limit = 0  # nobody is refused: see hub/queued
    c.DeskSpawner.state_directory = str(files.state)
    c.DeskSpawner.administrator = config.administrator
    c.DeskSpawner.isolated = config.isolated
    c.DeskSpawner.collaboration = config.collaboration
    c.DeskSpawner.cmd = single_user_command()
    if config.profiles is not None:
        profiles, c.DeskSpawner.quotas = all_in(config.profiles)
        c.DeskSpawner.profiles = fitting(profiles, machine())
        c.DeskSpawner.options_form, c.DeskSpawner.options_from_form = form, chosen
    c.DeskSpawner.env_keep = list(KEPT)
    c.DeskSpawner.environment = {
        "JUPYTERHUB_ACTIVITY_INTERVAL": str(_tell_activity_every(config)),
        **SharingConfig.from_env().told,
    }
    if config.service:
        c.DeskSpawner.environment["QUANTDESK_LAB_URL"] = f"http://{ADDRESS}:{config.port}{service.PREFIX}"
        c.DeskSpawner.server_token_scopes = list(service.SERVER_SCOPES)
    c.DeskSpawner.default_url = "/lab"
    c.DeskSpawner.ip = ADDRESS
    c.DeskSpawner.start_timeout = WAIT_S + START_S
    c.DeskSpawner.http_timeout = 90
    c.DeskSpawner.term_timeout = 10


def _tell_activity_every(config: HubConfig) -> int:
    """Seconds between two words of a server about its activity: often enough that no active one looks idle."""
    return max(1, min(300, config.idle_timeout // 3)) if config.idle_timeout else 300


def _pages(c: Any, config: HubConfig, files: HubFiles) -> None:
    from quantdesk.hub.pages import security_headers
    from quantdesk.hub.sharing.pages import seen

    c.JupyterHub.template_paths = [str(HERE / "templates")]
    c.JupyterHub.logo_file = str(HERE / "static" / "mark.svg")
    c.JupyterHub.tornado_settings = {"headers": security_headers()}
    c.JupyterHub.template_vars = {
        "isolated": config.isolated,
        "idle_minutes": round(config.idle_timeout / 60),
        "home": lambda user: _account_of(user, config, files),
        "waiting": _waiting if config.login == "native" else lambda user: 0,
        "login_method": config.login,
        "acts": _acts,
        "share": _share,
        "shared": seen,
    }


def _account_of(user: Any, config: HubConfig, files: HubFiles) -> Any:
    """The account of the user who looks at a page, if there is one yet."""
    if not user:
        return None
    return Accounts(files).find(user.name) if config.isolated else own_account(user.name, files)


def _waiting(user: Any) -> int:
    """How many sign-ups wait, for an administrator; 0 for everybody else."""
    return int(user.authenticator.waiting()) if user and user.admin else 0


def _share(user: Any) -> str:
    """What the user's server may use; nothing where it has no limits."""
    from quantdesk.hub.limits.limiting import size

    share = getattr(user.spawner, "share", None) if user else None
    return f"{size(len(share.cores), share.memory_bytes)} ({share.profile})" if share else ""


def _acts(user: Any) -> list[tuple[str, str]]:
    """What the user has to know: a home that fills up, and what was done to a server that took more than its share."""
    found = list(reversed(getattr(user.spawner, "acts", ()))) if user else []
    homes = getattr(user.spawner, "homes", None) if user else None
    full = homes.note(user.name) if homes is not None else None
    return [(f"{at:%H:%M} UTC", sentence) for at, sentence in ([full] if full else []) + found]


def _culler(c: Any, config: HubConfig) -> None:
    if not config.idle_timeout:
        return
    every = max(1, min(300, config.idle_timeout // 2))
    line = [sys.executable, "-P", "-m", "jupyterhub_idle_culler"]
    line += [f"--timeout={config.idle_timeout}", f"--cull-every={every}"]
    c.JupyterHub.services.append({"name": CULLER, "command": tethered(line), "environment": {MARK: os.environ[MARK]}})
    c.JupyterHub.load_roles.append({"name": CULLER, "scopes": list(CULLER_SCOPES), "services": [CULLER]})
