"""Write the reference pages that follow from the code: commands and settings. `--check` compares instead."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

import quantdesk.cli
from quantdesk import settings

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"


def commands(command: Any, path: str) -> Iterator[str]:
    """A section for each command, in the order of the help."""
    children = getattr(command, "commands", {})
    if not children:
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        options = [one for one in command.params if one.param_type_name == "option" and one.name != "help"]
        usage = " ".join([path, *(one.name.upper() for one in arguments), "[OPTIONS]" if options else ""])
        words = [f"## {path}", "", f"{command.help}".strip(), "", "```", usage.strip(), "```", ""]
        if arguments or options:
            words += ["| Argument or option | Meaning |", "|---|---|"]
            words += [f"| `{one.name.upper()}` | {sentence(one)} |" for one in arguments]
            words += [f"| `{', '.join(one.opts)}` | {sentence(one)} |" for one in options]
            words.append("")
        yield "\n".join(words)
    for name, child in children.items():
        yield from commands(child, f"{path} {name}")


def sentence(parameter: Any) -> str:
    """What a parameter's help says, with its default where that says something."""
    text = (getattr(parameter, "help", "") or "").strip() or f"The {parameter.name}."
    default = parameter.default
    shown = "" if default in (None, False, ()) or callable(default) else f" Default: `{default}`."
    return text.replace("|", "\\|") + shown


def command_line() -> str:
    """The page of the commands."""
    codes = re.findall(r"^(\d+)\s+(\S.*(?:\n {5}\S.*)*)", quantdesk.cli.__doc__ or "", flags=re.MULTILINE)
    table = "\n".join(f"| {code} | {' '.join(meaning.split())} |" for code, meaning in codes)
    sections = "\n".join(commands(typer.main.get_command(quantdesk.cli.app), "quantdesk"))
    return (
        "# Command line\n\n"
        "In a checkout the program is `.venv/bin/quantdesk`. Results go to the standard output, progress and errors to "
        "the standard error; with `--json` the standard output holds one JSON document and nothing else, also when the "
        "command fails.\n\n"
        f"| Exit code | Meaning |\n|---|---|\n{table}\n\n{sections}"
    ).rstrip() + "\n"


def settings_page() -> str:
    """The page of the settings: its prose as it stands, its table from the code."""
    prose, _, _ = (REFERENCE / "settings.md").read_text().partition("|---|---|---|\n")
    rows = "".join(
        f"| `{key}` ({kind.__name__}) | `QUANTDESK_{key.upper()}` | {meaning} |\n"
        for key, (kind, meaning) in settings.KEYS.items()
    )
    return prose + "|---|---|---|\n" + rows


def main() -> int:
    """Write the pages, or say which ones are out of date."""
    stale = []
    for name, text in {"command-line.md": command_line(), "settings.md": settings_page()}.items():
        page = REFERENCE / name
        if not page.exists() or page.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                page.write_text(text)
    print(f"{'out of date' if '--check' in sys.argv else 'written'}: {', '.join(stale) or 'nothing'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
