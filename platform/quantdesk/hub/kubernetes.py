"""The hub on Kubernetes: what ``hub.extraConfig`` of zero-to-jupyterhub calls. An edge module: environment and a file.

The chart ``helm/quantdesk`` has one line of Python in it, which calls `configure`. Profiles, logins, roles, scopes, the
hub's database and the registration of the service are so the same code as on one machine. What the chart of
zero-to-jupyterhub sets from its own values (image, home, addresses) is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import BadParameter, QuantdeskError
from quantdesk.hub import away, database, service
from quantdesk.hub.auth.config import LoginConfig
from quantdesk.hub.auth.given import read
from quantdesk.hub.auth.wiring import wire
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.hub.configure import forget_passwords
from quantdesk.hub.limits.given import profiles_in
from quantdesk.hub.pages import security_headers
from quantdesk.hub.profiles import Profile, of
from quantdesk.hub.sharing.config import SharingConfig

__all__ = ["KubernetesConfig", "configure", "offered", "override"]

LAB = "/opt/quantdesk/lab"
"""Where the user image has JupyterLab's settings (helm/images/user/Dockerfile)."""
USER, GROUP = 1000, 100
"""The account of every user's server; the home belongs to this group."""
SCRAPER = "prometheus"
HERE = Path(__file__).parent
_GIB = 2**30


class KubernetesConfig(BaseSettings):
    """What the chart tells the hub. Frozen; environment variables start with ``QUANTDESK_HUB_``.

    Attributes
    ----------
    profiles
        A file of profiles, TOML or JSON; those of :data:`quantdesk.hub.profiles.PROFILES` when left out.
    service
        Where the service is, such as ``http://qd-web:8080``; there is none when left out.
    metrics_token
        What Prometheus proves itself to the hub with; without it, only an administrator's token reads the metrics.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_HUB_", frozen=True, extra="ignore")

    profiles: Path | None = None
    service: str = ""
    metrics_token: SecretStr = SecretStr("")

    @classmethod
    def from_env(cls) -> Self:
        """Read the environment.

        Raises
        ------
        BadParameter
            A value cannot be used; the message names it, but never a secret.
        """
        return read(cls, {})


def configure(c: Any, config: KubernetesConfig | None = None, hub: HubConfig | None = None) -> None:
    """Fill in what quantdesk adds to the configuration that zero-to-jupyterhub has made.

    Parameters
    ----------
    c
        The object that ``get_config()`` returns.
    config, hub
        None reads the environment.

    Raises
    ------
    BadInput
        The file of profiles, or a setting, cannot be used: the hub does not start with half of it.
    DataError, EnvironmentProblem
        The hub's database cannot be used or reached.
    """
    config, hub, files = config or KubernetesConfig.from_env(), hub or HubConfig.from_env(), HubFiles()
    path = config.profiles
    profiles_in(path)  # a file that cannot be used keeps the hub from starting, not users from their servers
    _login(c, hub, files)
    database.prepare(hub, files)
    c.JupyterHub.db_url = database.address(hub, files)
    c.JupyterHub.db_kwargs = {"pool_pre_ping": True}
    away.say_so()
    _servers(c, hub)
    c.KubeSpawner.profile_list = offered(lambda: profiles_in(path))
    _pages(c, hub)
    for name in ("services", "load_roles"):
        if not isinstance(getattr(c.JupyterHub, name), list):
            setattr(c.JupyterHub, name, [])
    service.register(c, hub, config.service)
    _scraper(c, config)
    forget_passwords()


def _login(c: Any, hub: HubConfig, files: HubFiles) -> None:
    if hub.login == "native":
        raise BadParameter(
            "QUANTDESK_LOGIN is native, which has its first administrator from the launcher of one machine.",
            "Set QUANTDESK_LOGIN to oidc or ldap in jupyterhub.hub.extraEnv.",
        )
    if not LoginConfig.from_env().crypt_key.get_secret_value():
        raise BadParameter(
            "QUANTDESK_LOGIN_CRYPT_KEY is missing.", "Give 64 hexadecimal digits: a pod keeps none of its own making."
        )
    files.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    wire(c, hub, files, isolated=True)  # each server has a pod of its own


def offered(profiles: Callable[[], tuple[Profile, ...]]) -> Callable[[Any], list[dict[str, Any]]]:
    """What KubeSpawner's ``profile_list`` is: the profiles that the user of a spawner may take, as it wants them.

    KubeSpawner asks again when a server starts, and refuses a name that is not in the answer, so that nobody gets a
    profile of other groups by asking the API for it.

    Parameters
    ----------
    profiles
        Asked each time: a changed file counts from the next start on.
    """

    def listed(spawner: Any) -> list[dict[str, Any]]:
        user = spawner.user
        groups = {str(group.name) for group in user.groups}
        found = of(profiles(), groups, is_admin=bool(user.admin))
        if not found:  # `parse` sees to it that there is one; without a list KubeSpawner would start without limits
            raise QuantdeskError(f"There is no profile for {user.name}.", "Ask an administrator of the hub.")
        return [
            {
                "slug": one.name,
                "display_name": one.title,
                "description": one.description,
                "default": at == 0,
                "kubespawner_override": override(one),
            }
            for at, one in enumerate(found)
        ]

    return listed


def override(profile: Profile) -> dict[str, Any]:
    """The traits of KubeSpawner that a profile sets.

    Parameters
    ----------
    profile
        Which.

    Returns
    -------
    dict
        By name of the trait; memory in bytes.
    """
    cpu, memory = profile.sure
    scratch = str(round(profile.scratch_gib * _GIB))
    gpus = {"nvidia.com/gpu": str(profile.gpus)} if profile.gpus else {}
    return {
        "cpu_limit": profile.cpu,
        "cpu_guarantee": cpu,
        "mem_limit": round(profile.memory_gib * _GIB),
        "mem_guarantee": round(memory * _GIB),
        "storage_capacity": str(round(profile.storage_gib * _GIB)),
        # All that a pod writes outside its home counts, also its logs: who writes more is evicted, and told so.
        "extra_resource_limits": {"ephemeral-storage": scratch, **gpus},
        "extra_resource_guarantees": {"ephemeral-storage": str(min(int(scratch), _GIB)), **gpus},
        "environment": {
            "QUANTDESK_SERVER_IDLE_S": str(60 * profile.idle_minutes),
            "QUANTDESK_COLLABORATION": "true" if profile.collaboration else "false",
            "JUPYTER_CONFIG_PATH": f"{LAB}/config" if profile.collaboration else f"{LAB}/config:{LAB}/alone",
        },
        "extra_labels": {"quantdesk/profile": profile.name},
        **({"node_selector": dict(profile.node_selector)} if profile.node_selector else {}),
        **({"image": profile.image} if profile.image else {}),
    }


def _servers(c: Any, hub: HubConfig) -> None:
    """What every server has: the rules of the Pod Security Standard "restricted", and a root that cannot be written."""
    seccomp = {"type": "RuntimeDefault"}
    c.KubeSpawner.container_security_context = {
        "runAsUser": USER,
        "runAsGroup": GROUP,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": seccomp,
    }
    c.KubeSpawner.pod_security_context = {
        "runAsUser": USER,
        "runAsGroup": GROUP,
        "runAsNonRoot": True,
        "fsGroup": GROUP,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": seccomp,
    }
    c.KubeSpawner.automount_service_account_token = False
    # Without it, each Service of the namespace would be named in the environment of users' servers.
    c.KubeSpawner.extra_pod_config.update({"enableServiceLinks": False})
    c.KubeSpawner.server_token_scopes = list(service.SERVER_SCOPES)
    c.KubeSpawner.default_url = "/lab"
    c.JupyterHub.allow_named_servers = False
    c.KubeSpawner.environment.update(SharingConfig.from_env().told)
    if not hub.idle_timeout:
        return
    c.KubeSpawner.environment.update({"JUPYTERHUB_ACTIVITY_INTERVAL": str(max(1, min(300, hub.idle_timeout // 3)))})


def _pages(c: Any, hub: HubConfig) -> None:
    from quantdesk.hub.sharing.pages import seen

    settings = c.JupyterHub.tornado_settings  # zero-to-jupyterhub has some, too
    c.JupyterHub.tornado_settings = {**(settings if isinstance(settings, dict) else {}), "headers": security_headers()}
    c.JupyterHub.template_paths = [str(HERE / "templates")]
    c.JupyterHub.logo_file = str(HERE / "static" / "mark.svg")
    c.JupyterHub.template_vars = {
        "isolated": True,
        "idle_minutes": round(hub.idle_timeout / 60),
        "home": lambda user: None,  # there are no system accounts here
        "waiting": lambda user: 0,
        "login_method": hub.login,
        "shared": seen,
    }


def _scraper(c: Any, config: KubernetesConfig) -> None:
    """Prometheus is a service that may read the metrics, and nothing else."""
    token = config.metrics_token.get_secret_value()
    os.environ.pop("QUANTDESK_HUB_METRICS_TOKEN", None)  # what JupyterHub starts would inherit it
    if not token:
        return
    c.JupyterHub.services.append({"name": SCRAPER, "api_token": token})
    c.JupyterHub.load_roles.append({"name": SCRAPER, "scopes": ["read:metrics"], "services": [SCRAPER]})
