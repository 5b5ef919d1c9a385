"""JupyterLab as a user of the hub sees it: kernel, templates, extensions, nothing fetched from outside.

`server_settings` is what a single-user server is configured with. It runs in the user's own process, called by
``config/jupyter_server_config.py``, and imports nothing heavy. The folders beside it hold what the browser side is
told: ``config`` always, ``alone`` unless collaboration is on, ``isolated`` where several accounts share the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantdesk.reports.kernels.sockets import LONGEST_SOCKET, kernel_transport

__all__ = ["COLLABORATION", "EXTENSIONS", "LONGEST_SOCKET", "config_path", "kernel_transport", "server_settings"]

HERE = Path(__file__).parent

EXTENSIONS = (
    "@jupyter-server/resource-usage",
    "@jupyterlab/git",
    "@jupyterlab/scheduler",
    "jupyterlab-chat-extension",
    "jupyterlab-plotly",
    "jupyterlab_templates",
    "nbdime-jupyterlab",
)
"""Browser extensions that every server offers."""
COLLABORATION = ("@jupyter/collaboration-extension", "@jupyter/docprovider-extension")
"""Those of real-time collaboration: opt-in, by a setting or a profile, for its users report lost or doubled cells."""

_JOBS = {
    "SchedulerApp": {
        "scheduler_class": "quantdesk.reports.lab.scheduler.LabScheduler",
        "environment_manager_class": "quantdesk.reports.lab.scheduler.OneEnvironment",
        "job_files_manager_class": "quantdesk.reports.lab.scheduler.Downloads",
        "db_url": "sqlite://",  # nothing is kept here: see quantdesk.reports.lab
    }
}
"""Jobs are handed to the service, where there is one; otherwise they end with the user's server, as is usual."""


def config_path(*, isolated: bool, collaboration: bool) -> list[Path]:
    """The folders of configuration, for ``JUPYTER_CONFIG_PATH``.

    The visual debugger is left out where other accounts share the machine: it listens on a TCP port without a
    password, and whoever connects runs code as the user.
    """
    return [HERE / "config", *([] if collaboration else [HERE / "alone"]), *([HERE / "isolated"] if isolated else [])]


def server_settings(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Traitlets settings of a single-user server, by class and trait.

    Parameters
    ----------
    environment
        What the spawner set: ``HOME``, ``JUPYTER_RUNTIME_DIR``, ``QUANTDESK_TEMPLATES``, ``QUANTDESK_COLLABORATION``,
        ``QUANTDESK_LAB_URL``, ``QUANTDESK_SERVER_IDLE_S``, ``QUANTDESK_SHARING_BELIEVED_S``.
    """
    collaboration = environment.get("QUANTDESK_COLLABORATION", "false") == "true"
    believed = int(environment.get("QUANTDESK_SHARING_BELIEVED_S") or 0)
    idle = int(environment.get("QUANTDESK_SERVER_IDLE_S") or 0)
    return {
        **(_JOBS if environment.get("QUANTDESK_LAB_URL") else {}),
        **({"HubOAuth": {"cache_max_age": believed}} if believed else {}),
        "ServerApp": {
            "root_dir": environment["HOME"],
            "kernel_manager_class": "quantdesk.hub.lab.activity.BusyIsActive",
            "shutdown_no_activity_timeout": idle,
        },
        # A server does not end itself while it has a kernel, so an idle one, looked at or not, goes first.
        "MappingKernelManager": {"cull_idle_timeout": idle, "cull_connected": True, "cull_busy": False},
        "KernelManager": {"transport": kernel_transport(environment.get("JUPYTER_RUNTIME_DIR", ""))},
        "MultiKernelManager": {"default_kernel_name": "quantdesk"},
        # Nothing is asked of the network: no news, no look for updates, no catalogue of extensions.
        "LabApp": {
            "news_url": None,
            "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            "extension_manager": "readonly",
        },
        "YDocExtension": {"disable_rtc": not collaboration},
        # Language servers are not among our packages; looking for them would run npm at every start.
        "LanguageServerManager": {"autodetect": False},
        # A template is opened as a copy in the user's home; the folder itself cannot be written by users.
        "JupyterLabTemplates": {
            "template_dirs": [environment["QUANTDESK_TEMPLATES"]] if "QUANTDESK_TEMPLATES" in environment else [],
            "include_default": False,
            "include_core_paths": False,
            "template_label": "Template",
        },
    }
