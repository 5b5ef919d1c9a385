"""The reference pages say what the code and the data say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from quantdesk.market import FolderSource, MarketStore
from quantdesk.market.commands import check_quality
from quantdesk.market.publication import POLICIES
from quantdesk.market.sessions import OWN
from quantdesk.market.sources.mapping import FolderMapping

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "reference" / "market-data.md").read_text()


def rows(page: str) -> list[list[str]]:
    """The cells of every table row of a page."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]


def test_every_series_is_listed_with_its_range(store: MarketStore) -> None:
    listed = [row for row in rows(PAGE) if len(row) == 5]
    for series in store.series():
        if series.kind == "fx":
            continue
        lines = [
            row for row in listed if row[0].startswith(series.package) and re.search(rf"\b{series.symbol}\b", row[1])
        ]
        assert len(lines) == 1, series.id
        if series.frequency == "daily" and series.kind in {"equity", "etf", "index", "commodity", "volatility"}:
            assert " ".join(series.fields) == lines[0][2]
            assert series.end.isoformat() in lines[0][3]
    assert f"{len(store.series())} series of real history" in PAGE
    assert sum(series.kind == "fx" for series in store.series()) == 41


def test_every_policy_and_calendar_is_described() -> None:
    by_name = {row[0].strip("`"): row for row in rows(PAGE)}
    for name, policy in POLICIES.items():
        _, event, _, reason = by_name[name]
        assert (event, reason) == (policy.event, policy.reason)
    for name in OWN:
        assert name in by_name


def test_the_findings_are_those_of_the_data(root: Path) -> None:
    written = {(row[0], row[1], row[2], int(row[3])) for row in rows(PAGE) if len(row) == 5 and "@" in row[0]}
    found = {
        (report.series, finding.check, finding.degree, finding.count)
        for report in check_quality(root=root)
        for finding in report.findings
        if finding.degree != "notable"
    }
    assert written == found


def test_the_mapping_in_the_guide_can_be_read_and_has_every_key(tmp_path: Path) -> None:
    guide = (DOCS / "how-to" / "load-your-own-data.md").read_text()
    (toml,) = re.findall(r"```toml\n(.*?)```", guide, flags=re.S)
    assert set(tomllib.loads(toml)) == set(FolderMapping.model_fields)
    (tmp_path / "series.toml").write_text(toml)
    (tmp_path / "all.csv").write_text("Tag;Ticker;Schluss;Umsatz\n02.01.2020;SAP;1.234,5;k.A.\n")
    (raw,) = FolderSource(tmp_path).series()
    assert raw.description.id == "SAP@desk"
    (csv,) = re.findall(r"```\n(Date,.*?)```", guide, flags=re.S)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "ACME.csv").write_text(csv)
    (raw,) = FolderSource(tmp_path / "plain").series()
    assert len(raw.frame) == 2


@pytest.mark.parametrize("page", ["reference/market-data.md", "how-to/load-your-own-data.md"])
def test_python_in_the_pages_runs(
    page: str, store: MarketStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if page.startswith("how-to"):
        (tmp_path / "prices").mkdir()
        (tmp_path / "prices" / "ACME.csv").write_text("date,close\n2020-01-02,1\n")
        monkeypatch.chdir(tmp_path)
        root = tmp_path / "store"
    monkeypatch.setenv("QUANTDESK_MARKET_ROOT", str(root))
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.S)
    exec(compile(code, page, "exec"), {})
