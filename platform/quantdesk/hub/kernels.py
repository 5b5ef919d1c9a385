"""The provisioner of kernels that the hub's servers use where a kernel names none. An edge module.

It is the entry point ``quantdesk-private`` of the group ``jupyter_client.kernel_provisioners``; servers name it in
``JUPYTER_DEFAULT_PROVISIONER_NAME``. The kernel ``quantdesk`` names another one, which forks kernels as well: see
:mod:`quantdesk.reports.kernels`. What both do to keep other accounts out is in one class.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from quantdesk.reports.kernels.private import PrivateProvisioner

__all__ = ["NAME", "PrivateProvisioner", "registered"]

NAME = "quantdesk-private"


def registered() -> bool:
    """Whether this installation has the entry point; to name one that is missing would keep kernels from starting."""
    return bool(entry_points(group="jupyter_client.kernel_provisioners", name=NAME))
