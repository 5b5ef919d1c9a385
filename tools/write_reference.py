"""Write the reference pages that follow from the code: commands and settings. `--check` compares instead."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from pydantic_settings import BaseSettings

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
    stages = "\n".join(variables(config) for config in configurations())
    return (
        f"{prose}|---|---|---|\n{rows}\n## What each stage reads\n\n"
        "Each part of the platform owns its settings and reads them from the environment alone, so that a notebook, a "
        f"service and a command agree.\n\n{stages}"
    ).rstrip() + "\n"


def configurations() -> list[type[BaseSettings]]:
    """Every class of settings in the package, by the name of its module."""
    found = []
    for path in sorted((ROOT / "platform" / "quantdesk").rglob("*.py")):
        if "(BaseSettings)" in path.read_text(encoding="utf-8"):
            module = importlib.import_module(".".join(path.relative_to(ROOT / "platform").with_suffix("").parts))
            classes = [
                one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__
            ]
            found += [one for one in classes if issubclass(one, BaseSettings)]
    return found


def variables(config: type[BaseSettings]) -> str:
    """A table of the variables of one class, with what its docstring says of them."""
    text = inspect.getdoc(config) or ""
    told = {
        name: " ".join(words.split())
        for names, words in re.findall(r"^(\w+(?:, \w+)*)\n((?:    .*\n?)+)", text, re.MULTILINE)
        for name in names.split(", ")
    }
    prefix = config.model_config["env_prefix"]
    rows = []
    for name in config.model_fields:
        variable = f"{prefix}{name}".upper()
        meaning = re.sub(r"^``[A-Z_]+``(, ``[A-Z_]+``)*: ", "", told[name]).replace("``", "`")
        rows.append(f"| `{variable}` | {(meaning[:1].upper() + meaning[1:]).replace('|', chr(92) + '|')} |\n")
    home = config.__module__.removeprefix("quantdesk.")
    return f"### `{home}`\n\n| Variable | Meaning |\n|---|---|\n{''.join(rows)}"


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
