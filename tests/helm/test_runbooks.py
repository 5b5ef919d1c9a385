"""What runbooks and the page on Kubernetes tell people to type: the commands exist, and name what the chart makes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from quantdesk.cli import app

pytestmark = pytest.mark.xdist_group("helm")

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "quantdesk"
PAGES = [*sorted((ROOT / "docs" / "runbooks").glob("*.md")), ROOT / "docs" / "how-to" / "deploy-on-kubernetes.md"]
THEIRS = {"deployment/hub", "deployment/proxy", "deployment/green-hub"}
"""Objects of zero-to-jupyterhub, by the names that its documentation gives them."""
KINDS = {
    "deploy": "Deployment",
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "hpa": "HorizontalPodAutoscaler",
    "cronjob": "CronJob",
}
SPOKEN = re.compile(r"[A-Z]{2,}")
"""A word in capitals stands for what the reader puts there."""


def commands(page: Path) -> Iterator[str]:
    """Code of a page that is a command: in a line of text, or in a block."""
    text = page.read_text()
    for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from (
            line for line in block.replace("\\\n", " ").splitlines() if re.match(r"(kubectl|helm|quantdesk) ", line)
        )
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (" ".join(code.split()) for code in re.findall(r"`((?:kubectl|helm|quantdesk) [^`]+)`", outside))


def of(first: str) -> list[tuple[str, list[str]]]:
    found = []
    for page in PAGES:
        for line in commands(page):
            parts: list[list[str]] = [[]]
            for word in shlex.split(line, comments=True):
                if word in ("|", "||", "--"):
                    parts.append([])
                else:
                    parts[-1].append(word)
            found += [(page.stem, words) for words in parts if words and words[0] == first]
    return found


def test_every_command_of_quantdesk_can_be_typed() -> None:
    found = of("quantdesk")
    assert len(found) > 8
    for page, words in found:
        command: Any = get_command(app)
        rest = [word for word in words[1:] if word != "…"]
        while hasattr(command, "commands"):
            assert rest[0] in command.commands, (page, words)
            command = command.commands[rest.pop(0)]
        command.make_parser(command.context_class(command)).parse_args(rest)


def test_every_object_that_kubectl_is_told_is_one(helm: Any) -> None:
    rendered = [
        *helm.render("everything-values"),
        *helm.render("values-small-team", "--values", "examples/values-green.yaml", release="green"),
    ]
    there = {(one["kind"], one["metadata"]["name"]) for one in rendered}
    looked_at = 0
    for page, words in of("kubectl"):
        line = " ".join(words)
        if "create job" in line:
            words = [words[-1].removeprefix("--from=")]
        for kind, name in re.findall(
            r"(?<![\w.])(deploy|deployment|statefulset|hpa|cronjob)[/ ]([a-z][a-z0-9-]*)", " ".join(words)
        ):
            looked_at += 1
            assert f"{kind}/{name}" in THEIRS or (KINDS[kind], name) in there or name == "qd-", (page, line)
        assert "-n quantdesk" in line or "-A" in line or "create namespace" in line or "label namespace" in line, (
            page,
            line,
        )
    assert looked_at > 12


def test_every_label_that_kubectl_selects_by_is_on_a_pod(everything: Any, pods: Any) -> None:
    labels = [pod["metadata"]["labels"] for _, pod in pods(everything)]
    theirs = [{"app": "jupyterhub", "component": one} for one in ("hub", "proxy", "singleuser-server")]
    theirs.append({"app.kubernetes.io/name": "kube-state-metrics"})
    chosen = [(page, words[words.index("-l") + 1]) for page, words in of("kubectl") if "-l" in words]
    assert len(chosen) > 8
    for page, selector in chosen:
        if " in (" in selector:
            key, values = re.fullmatch(r"(\S+) in \(([^)]*)\)", selector).groups()  # type: ignore[union-attr]
            wanted = [{key: value} for value in values.split(",")]
        else:
            wanted = [dict(one.split("=") for one in selector.split(","))]
        for one in wanted:
            assert any(one.items() <= known.items() for known in (*labels, *theirs)), (page, selector)


def test_every_value_that_a_page_names_is_one() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    tops = "|".join(name for name in schema["properties"] if name not in ("name", "host", "global"))
    for page in PAGES:
        for path in re.findall(rf"`((?:{tops})\.[A-Za-z.]+[A-Za-z])(?:[:=][^`]*)?`", page.read_text()):
            known: Any = schema
            for key in path.split("."):
                if "$ref" in known:
                    known = schema["definitions"][known["$ref"].rsplit("/", 1)[1]]
                known = known.get("items", known)
                if "properties" not in known:
                    assert SPOKEN.fullmatch(key) or known.get("additionalProperties", True) is not False, (
                        page.stem,
                        path,
                    )
                    known = known.get("additionalProperties", {}) or {}
                    continue
                assert key in known["properties"], (page.stem, path)
                known = known["properties"][key]


def test_every_setting_that_helm_is_given_is_taken(helm: Any) -> None:
    """Each `helm upgrade` and `install` of the pages is rendered, with a team's values in the place of the reader's."""
    lines = [words for _, words in of("helm") if words[1] in ("upgrade", "install")]
    assert len(lines) >= 6
    for words in lines:
        files = [words[at + 1] for at, word in enumerate(words) if word == "-f"]
        files = [
            one.removeprefix("helm/quantdesk/").replace("my-values.yaml", "examples/values-small-team.yaml")
            for one in files
        ]
        sets = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
        given = [
            *(word for one in files for word in ("--values", one)),
            *(word for one in sets for word in ("--set", one)),
        ]
        done = helm.run("template", "quantdesk", ".", "--namespace", "quantdesk", *given)
        assert done.returncode == 0, (words, done.stderr)
        assert list(yaml.safe_load_all(done.stdout))


def test_flags_of_helm_are_helms(helm: Any) -> None:
    usages: dict[tuple[str, ...], str] = {}
    for page, words in of("helm"):
        rest = words[1:2] if words[1] != "dependency" else words[1:3]
        if tuple(rest) not in usages:
            usages[tuple(rest)] = helm.run(*rest, "--help").stdout
        usage = usages[tuple(rest)]
        for flag in {word.partition("=")[0] for word in words if word.startswith("--")}:
            assert f"{flag} " in usage or f"{flag}\n" in usage or f"{flag}=" in usage, (page, words)
