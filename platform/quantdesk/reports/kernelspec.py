"""The Jupyter kernel named ``quantdesk``: this interpreter, forked where possible. An edge module: it writes one file.

The file names the provisioner ``quantdesk-warm`` when this installation has it as an entry point: to name one that is
missing would keep kernels from starting.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

from quantdesk.records import atomic_write

__all__ = ["NAME", "PROVISIONER", "install"]

NAME = "quantdesk"
PROVISIONER = "quantdesk-warm"


def install(prefix: Path, *, python: str = sys.executable) -> Path:
    """Write the kernel below `prefix`, in ``share/jupyter/kernels/quantdesk/``. Writing it again changes nothing.

    Parameters
    ----------
    prefix
        An environment (``.venv``), or any folder whose ``share/jupyter`` is then named in ``JUPYTER_PATH``.
    python
        The interpreter that kernels run.

    Returns
    -------
    Path
        The folder of the kernel.

    Raises
    ------
    EnvironmentProblem
        `prefix` cannot be written.
    """
    metadata: dict[str, Any] = {"debugger": True}
    if _registered(PROVISIONER):
        metadata["kernel_provisioner"] = {"provisioner_name": PROVISIONER}
    spec = {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "quantdesk",
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": metadata,
        "env": {},
    }
    target = prefix / "share" / "jupyter" / "kernels" / NAME / "kernel.json"
    text = json.dumps(spec, indent=1) + "\n"
    if not (target.is_file() and target.read_text("utf-8") == text):
        with atomic_write(target) as temporary:
            temporary.write_text(text, "utf-8")
    return target.parent


def _registered(provisioner: str) -> bool:
    try:
        own = importlib.metadata.distribution("quantdesk").entry_points
    except importlib.metadata.PackageNotFoundError:  # a folder on the path, not an installation
        return False
    return any(entry.name == provisioner for entry in own)
