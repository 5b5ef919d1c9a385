"""The Jupyter kernel named ``quantdesk``: this interpreter, nothing around it. An edge module: it writes one file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quantdesk.records import atomic_write

__all__ = ["NAME", "install"]

NAME = "quantdesk"


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
    spec = {
        "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "quantdesk",
        "language": "python",
        "interrupt_mode": "signal",
        "metadata": {"debugger": True},
        "env": {},
    }
    target = prefix / "share" / "jupyter" / "kernels" / NAME / "kernel.json"
    text = json.dumps(spec, indent=1) + "\n"
    if not (target.is_file() and target.read_text("utf-8") == text):
        with atomic_write(target) as temporary:
            temporary.write_text(text, "utf-8")
    return target.parent
