"""What git does with notebooks in every user's server: outputs stay at home. An edge module: it writes two files.

Servers have the first file as git's system configuration (``GIT_CONFIG_SYSTEM``), so that it holds in terminals, in
JupyterLab's git panel and in scripts, and a user's own settings go before it. A notebook is committed without outputs
and counts, and differences and merges are nbdime's, cell by cell. The file in the home keeps its outputs.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from quantdesk.records import atomic_write

__all__ = ["install"]

ATTRIBUTES = "*.ipynb filter=nbstripout diff=jupyternotebook merge=jupyternotebook\n"
CONFIG = """# Written by quantdesk when the hub starts.
[include]
	path = /etc/gitconfig
[core]
	attributesFile = {attributes}
[filter "nbstripout"]
	clean = {strip}
	smudge = cat
	required = true
[diff "jupyternotebook"]
	command = {diff}
[merge "jupyternotebook"]
	name = merge notebooks cell by cell
	driver = {merge}
"""


def install(folder: Path, *, python: str = sys.executable) -> Path:
    """Write ``gitconfig`` and ``gitattributes`` into a folder that every user may read.

    Parameters
    ----------
    folder
        Where to.
    python
        The interpreter that has nbstripout and nbdime.

    Returns
    -------
    Path
        The configuration.

    Raises
    ------
    EnvironmentProblem
        The folder cannot be written.
    """
    attributes, config = folder / "gitattributes", folder / "gitconfig"
    programs = Path(python).parent
    values = {
        "attributes": quoted(str(attributes)),
        "strip": quoted(f"{shlex.quote(python)} -m nbstripout --keep-id"),
        "diff": quoted(f"{shlex.quote(str(programs / 'git-nbdiffdriver'))} diff"),
        "merge": quoted(f"{shlex.quote(str(programs / 'git-nbmergedriver'))} merge %O %A %B %L %P"),
    }
    for path, text in ((attributes, ATTRIBUTES), (config, CONFIG.format(**values))):
        if not (path.is_file() and path.read_text("utf-8") == text):
            with atomic_write(path, mode=0o644) as temporary:
                temporary.write_text(text, "utf-8")
    return config


def quoted(value: str) -> str:
    r"""A value as git's configuration has it.

    >>> quoted('a "b" \\c')
    '"a \\"b\\" \\\\c"'
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
