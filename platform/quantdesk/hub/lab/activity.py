"""What counts as activity: a kernel that computes is not idle, however long it says nothing.

Jupyter looks at the last message of a kernel only, so a silent computation of an hour would look idle, and the server
would be stopped in the middle of it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

__all__ = ["BusyIsActive"]


class BusyIsActive(AsyncMappingKernelManager):
    """The kernel manager of a user's server, for which a busy kernel is active at this very moment."""

    _last_message: datetime

    @property
    def last_kernel_activity(self) -> datetime:
        """When a kernel last did something: now, if one is busy."""
        states = [getattr(kernel, "execution_state", "") for kernel in self._kernels.values()]
        return datetime.now(UTC) if "busy" in states else self._last_message

    @last_kernel_activity.setter
    def last_kernel_activity(self, when: datetime) -> None:
        self._last_message = when
