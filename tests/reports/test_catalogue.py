"""The catalogue of features: every page complete, escaped, small, the same for the same store, within its policy."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import html
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantdesk.errors import BadInput, DataError, UnknownName
from quantdesk.features import FeatureStore
from quantdesk.features.definitions import FEATURES
from quantdesk.features.lineage import File, Input, Lineage, Use
from quantdesk.market import MarketStore, load
from quantdesk.market.series import Description, Flags
from quantdesk.market.sessions import sessions_between
from quantdesk.market.sources import RawSeries
from quantdesk.reports import theme
from quantdesk.reports.catalogue import lineage_of, write
from quantdesk.reports.catalogue.charts import histogram, number
from quantdesk.reports.catalogue.facts import (
    QUANTILES,
    Coverage,
    Facts,
    Nulls,
    Overview,
    Revised,
    Verdict,
    distribution,
)
from quantdesk.reports.catalogue.pages import feature_page, file_name, index_page, meaning
from quantdesk.reports.catalogue.uses import uses
from quantdesk.reports.notebooks import NotebooksConfig

ATTACK = '</title></style><script>alert(1)</script><img src=x onerror=alert(1)>" onmouseover="alert(1) \'{{7*7}}'


class Invented:
    """A source of three stocks and an index, the name of one of them hostile."""

    name = "skfolio"

    def __init__(self, fingerprint: str = "1", factor: float = 1.0) -> None:
        self._fingerprint, self._factor = fingerprint, factor

    def fingerprint(self) -> str:
        return self._fingerprint

    def series(self):  # type: ignore[no-untyped-def]
        days = sessions_between("XNYS", dt.date(2018, 1, 2), dt.date(2019, 12, 31))
        for seed, (symbol, kind, field) in enumerate(
            [("AAA", "equity", "adj_close"), ("BBB", "equity", "adj_close"), ("SPX", "index", "close")]
        ):
            steps = np.random.default_rng(seed).normal(0.0003, 0.01, len(days))
            price = 50 * np.exp(np.cumsum(steps))
            price[-20:] *= self._factor
            description = Description(
                symbol=symbol,
                source=self.name,
                kind=kind,  # type: ignore[arg-type]
                unit="USD",
                calendar="XNYS",
                fields=(field,),
                package="invented <b>",
                version="1",
                licence="none & nothing",
                sha256="0" * 64,
                flags=Flags(real=False, adjusted_with_hindsight=True, survivors_only=True),
                publication="close",
                publication_lag=dt.timedelta(minutes=15),
            )
            yield RawSeries(description, pd.DataFrame({"session": days, field: price}))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    root = tmp_path_factory.mktemp("catalogue")
    load([Invented()], root / "market")
    found = FeatureStore(root=root / "features", market=MarketStore(root / "market"))
    found.build()
    return found


@pytest.fixture(scope="module")
def written(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    steps: list[tuple[str, int, int]] = []
    done = write(
        store, tmp_path_factory.mktemp("pages") / "out", audit=False, progress=lambda *step: steps.append(step)
    )
    assert done.features == len(FEATURES)
    assert done.pages == len(FEATURES) + 1
    assert steps[-1][1] == steps[-1][2]
    return done.index.parent


class Outline(HTMLParser):
    """Tags that are open, ids, links and whatever would act or load."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.acts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.acts += [f"{tag} {name}" for name in named if name.startswith("on") or name == "style"]
        self.acts += [f"{tag} {named['src']}"] if named.get("src") else []
        self.ids += [named["id"] or ""] if "id" in named else []
        if tag == "a" and named.get("href"):
            self.links.append(named["href"] or "")
        if tag == "script":
            self.acts.append("script")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def outline(page: str) -> Outline:
    parsed = Outline()
    parsed.feed(page)
    return parsed


def test_every_feature_has_a_page_and_every_link_leads_somewhere(written: Path) -> None:
    names = {path.name for path in written.iterdir()}
    assert {file_name(name) for name in FEATURES} | {"index.html", "catalogue.json"} == names
    assert set(json.loads((written / "catalogue.json").read_text())) == names
    for path in written.glob("*.html"):
        page = outline(path.read_text())
        assert len(page.ids) == len(set(page.ids)), path
        for link in page.links:
            target, _, anchor = link.partition("#")
            assert target in names | {""}, f"{path.name} points to {link}"
            assert not anchor or anchor in page.ids, f"{path.name} points to {link}"


def test_a_page_shows_all_that_is_known(written: Path, store: FeatureStore) -> None:
    manifest = store.snapshot().manifest
    for name, feature in FEATURES.items():
        text = html.unescape((written / file_name(name)).read_text())
        for said in (feature.description, feature.unit, feature.formula, feature.source):
            assert said in text, (name, said)
        for section in ("definition", "lineage", "distribution", "coverage", "freshness", "revisions", "trust"):
            assert f'<section id="{section}">' in text
        assert manifest.key[:12] in text
        for label in ("not real", "adjusted with hindsight", "survivors only"):
            assert label in text or (feature.inputs[-1] in {"volume", "close"} and "no data in this build" in text)
        assert "not audited" in text
        assert "validated" in text
    assert "0" * 64 in (written / "sma_20.html").read_text()
    assert "missing_input:" in (written / "atr_14.html").read_text()


def test_pages_are_small_and_load_nothing(written: Path) -> None:
    for path in written.glob("*.html"):
        text = path.read_text()
        assert path.stat().st_size < 300_000
        assert "http://" not in text
        assert "https://" not in text
        allowed = ["script"] if path.name == "index.html" else []
        assert outline(text).acts == allowed, path
        (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
        assert "unsafe" not in policy
        policy = policy.replace("&#39;", "'")
        for tag in ("style", "script"):
            for body in re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL):
                digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
                assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_same_store_gives_the_same_bytes(written: Path, store: FeatureStore, tmp_path: Path) -> None:
    write(FeatureStore(root=store.root), tmp_path / "again", audit=False)
    for path in sorted(written.iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_an_audit_puts_its_verdict_on_each_page(store: FeatureStore, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from quantdesk.features import audit

    asked = []

    def audited(market, progress=None):  # type: ignore[no-untyped-def]
        asked.append(market)
        finding = audit.Finding("sma_20", "centred_window", "A centred window.")
        return {
            "sma_20": audit.AuditReport("sma_20 on AAA", (finding,), rows=700, cuts=22, calls=81),
            "ema_12": audit.AuditReport("ema_12 on AAA", (), rows=700, cuts=22, calls=81),
        }

    monkeypatch.setattr(audit, "repository", audited)
    write(store, tmp_path / "out")
    assert len(asked) == 1
    leaking = (tmp_path / "out" / "sma_20.html").read_text()
    assert "A centred window." in leaking
    assert "leaks" in leaking
    assert "no leak found" in (tmp_path / "out" / "ema_12.html").read_text()
    assert "not audited" in (tmp_path / "out" / "rsi_14.html").read_text()


def test_writing_again_replaces_pages_and_a_foreign_folder_is_left_alone(store: FeatureStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(store, out, audit=False)
    (out / "gone_feature.html").write_text("old")
    (out / "catalogue.json").write_text(json.dumps(["gone_feature.html", *(path.name for path in out.iterdir())]))
    write(store, out, audit=False)
    assert not (out / "gone_feature.html").exists()
    (out / "thesis.docx").write_text("mine")
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    with pytest.raises(BadInput, match=r"thesis\.docx"):
        write(store, out, audit=False)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    with pytest.raises(BadInput, match="no folder"):
        write(store, out / "thesis.docx", audit=False)
    with pytest.raises(DataError, match="quantdesk features build"):
        write(FeatureStore(root=tmp_path / "nothing"), tmp_path / "other", audit=False)
    assert not (tmp_path / "other").exists()


def test_revisions_are_on_the_page(store: FeatureStore, tmp_path: Path) -> None:
    load([Invented()], tmp_path / "market")
    own = FeatureStore(root=tmp_path / "features", market=MarketStore(tmp_path / "market"))
    own.build()
    load([Invented("2", 2.0)], tmp_path / "market")
    FeatureStore(root=own.root, market=MarketStore(tmp_path / "market")).build()
    write(FeatureStore(root=own.root), tmp_path / "out", audit=False)
    page = (tmp_path / "out" / "ret_1d.html").read_text()
    assert "Sessions revised" in page
    assert "Loads of this build (2)" in page
    # Of the daily returns of each series only the one into the restated stretch is another.
    assert len(re.findall(r'<th scope="row">(?:AAA|BBB|SPX)</th><td class="num">1</td>', page)) == 3
    assert "Sessions revised" in (tmp_path / "out" / "sma_20.html").read_text()


def facts(name: str = "sma_20", **changes: object) -> Facts:
    feature = FEATURES[name]
    file = File("package", "1", "MIT", "a" * 64, ("real",), ("AAA", "BBB"))
    shape = distribution("equity", 2, np.random.default_rng(0).normal(10, 2, 1000))
    assert shape is not None
    plain = Facts(
        feature=feature,
        view=feature.home,
        lineage=Lineage(
            feature.name, feature.view, feature.formula, "d" * 64, "b" * 64, "m" * 64,
            (Input("price", "adjusted close", (file,)),), (Use("notebook", "01"),),
        ),
        labels=("real",),
        distributions=(shape,),
        coverage=(Coverage("AAA", "equity", "desk", {2018: (250, 100), 2019: (250, 250)}),),
        nulls=(Nulls("warm_up:20", 150, 1),),
        freshness=[
            {"state": "late", "source": "desk", "publication": "close", "series": 1, "last": "2019-12-31",
             "missing": 9, "allowed": 1, "says": "9 due sessions are missing, 1 may be"}
        ],
        latest=dt.date(2019, 12, 31),
        revised=(Revised("AAA", 1, 2, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),),
        proven=(1, 1),
        audit=Verdict("no leak found", "Nothing."),
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


OVERVIEW = Overview(
    "b" * 64, "m" * 64, "d" * 64, "1", dt.datetime(2026, 11, 23, 5, tzinfo=dt.UTC), 500, 1,
    [{"at": "2026-11-23 05:00:00", "why": "the first load", "added": 500, "restated": 0, "withdrawn": 0}], "By policy.",
)  # fmt: skip


def hostile() -> Facts:
    plain = facts()
    words = {"description": ATTACK, "unit": ATTACK, "formula": ATTACK, "source": ATTACK, "name": ATTACK}
    file = File(ATTACK, ATTACK, ATTACK, ATTACK, ("real",), (ATTACK,))
    return dataclasses.replace(
        plain,
        feature=dataclasses.replace(plain.feature, **words),
        view=dataclasses.replace(plain.view, name=ATTACK, description=ATTACK, knowledge=ATTACK),
        lineage=dataclasses.replace(
            plain.lineage,
            feature=ATTACK,
            view=ATTACK,
            inputs=(Input(ATTACK, ATTACK, (file,)),),
            used_by=(Use(ATTACK, ATTACK),),
        ),
        distributions=tuple(dataclasses.replace(one, kind=ATTACK) for one in plain.distributions),
        coverage=(Coverage(ATTACK, ATTACK, ATTACK, {2018: (2, 1)}),),
        nulls=(Nulls(ATTACK, 1, 1),),
        freshness=[{**plain.freshness[0], "source": ATTACK, "publication": ATTACK, "says": ATTACK}],
        revised=(Revised(ATTACK, 1, 2, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),),
        audit=Verdict("leaks", ATTACK),
    )


def test_hostile_names_stay_text() -> None:
    overview = dataclasses.replace(
        OVERVIEW, knowledge=ATTACK, built_by=ATTACK, loads=[{**OVERVIEW.loads[0], "why": ATTACK}]
    )
    for page, allowed in (
        (feature_page(hostile(), overview, (ATTACK, None)), []),
        (index_page([hostile()], overview), 1),
    ):
        parsed = outline(page)
        assert parsed.acts == (["script"] if allowed else [])
        assert parsed.open == []
        assert "alert(1)" in page
        assert "<img src=x" not in page
        assert "49" not in re.findall(r"\d+7\*7\d+", page)
        assert all(re.fullmatch(r"#[a-z]+|[\w-]+\.html", link) for link in parsed.links)


def test_names_of_pages_are_safe_and_distinct() -> None:
    assert file_name("sma_20") == "sma_20.html"
    odd = ["../../etc/passwd", "a b", "a/b", "a_b", "index", "news:score", "ü", "x" * 300, ""]
    files = [file_name(name) for name in odd]
    assert len(set(files)) == len(odd)
    assert all(re.fullmatch(r"[\w-]{1,95}\.html", file, flags=re.ASCII) for file in files)
    assert "index.html" not in files


def test_a_feature_without_a_value_has_a_page() -> None:
    bare = facts(distributions=(), coverage=(), nulls=(), freshness=[], latest=None, revised=(), proven=(0, 1))
    page = feature_page(bare, OVERVIEW)
    assert "There is no value in this build." in page
    assert "No value of this feature has more than one version." in page
    assert "not validated" in page
    assert outline(page).open == []
    assert "–" in index_page([bare], OVERVIEW)


def test_thousands_of_series_stay_a_small_page() -> None:
    years = dict.fromkeys(range(1990, 2027), (252, 250))
    many = tuple(Coverage(f"S{n:05}", "equity", "desk", years) for n in range(5000))
    page = feature_page(facts(coverage=many), OVERVIEW)
    assert len(page.encode()) < 300_000
    assert "5000 series of desk" in page


def test_a_share_never_rounds_to_all_or_nothing() -> None:
    one = Coverage("A", "equity", "x", {2000: (1000, 999), 2001: (1000, 1), 2002: (10, 0), 2003: (10, 10)})
    cells = re.findall(r"<td class=(c\d)>([^<]+|&lt;1)\n?", feature_page(facts(coverage=(one,)), OVERVIEW))
    assert [text.strip() for _, text in cells][:4] == ["99", "&lt;1", "0", "100"]
    assert [shade for shade, _ in cells][:4] == ["c5", "c1", "c0", "c5"]


def test_a_distribution_counts_every_value() -> None:
    values = np.concatenate([np.random.default_rng(1).lognormal(3, 2, 10_000), [math.nan, math.inf]])
    found = distribution("fx", 3, values)
    assert found is not None
    assert found.values == 10_000
    assert found.logarithmic
    assert sum(found.counts) + found.below + found.above == 10_000
    assert found.quantiles[QUANTILES.index(0.5)] == pytest.approx(np.median(values[:-2]))
    flat = distribution("fx", 1, np.full(10, 3.0))
    assert flat is not None
    assert sum(flat.counts) == 10
    assert distribution("fx", 1, np.full(3, math.nan)) is None
    assert "median 3" in histogram(flat, "unit")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567.8, "1,234,568"), (-0.01234, "−0.01234"), (2e-7, "2.000e−07"), (math.nan, "–"), (12.5, "12.5")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_reasons_are_explained() -> None:
    assert "fewer than" in meaning("warm_up:20")
    assert "does not carry" in meaning("missing_input:high,low")
    assert "average over months" in meaning("undefined:not_daily")
    assert "holds nothing at all" in meaning("no_history")
    assert "benchmark" in meaning("no_history:SPX")
    assert meaning("something new") == ""


def test_uses_are_found_in_notebooks(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": "sma_50", "metadata": {}},
        {"cell_type": "code", "source": ["names = ['sma_20',\n", " 'rsi_14']"]},
        {"cell_type": "code", "source": "%magic sma_200"},
    ]  # fmt: skip
    for cell in cells[1:]:
        cell |= {"metadata": {}, "outputs": [], "execution_count": None}
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "mine.ipynb").write_text(json.dumps(notebook))
    found = uses(["sma_20", "sma_50", "sma_200"], NotebooksConfig(notebooks=tmp_path))
    assert Use("notebook", "mine") in found["sma_20"]
    assert Use("notebook", "mine") not in found["sma_50"]
    assert Use("strategy", "momentum_alpha") in found["sma_200"]
    assert found["sma_20"][0] == Use("feature service", "all_features")
    assert uses(["sma_20"], NotebooksConfig(notebooks=tmp_path / "nowhere"))["sma_20"]


def test_lineage_of_a_store(store: FeatureStore) -> None:
    found = lineage_of(store, "beta_252d", ["AAA"])
    assert {one.name for one in found.inputs} == {"price", "benchmark"}
    with pytest.raises(UnknownName, match="beta_252d"):
        lineage_of(store, "beta_252")


def luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_shaded_cells_can_be_read(palette: theme.Palette) -> None:
    """WCAG AA: 4.5 : 1 for the numbers on every shade that the style sheet mixes."""
    style = (Path(theme.__file__).parent / "catalogue" / "catalogue.css").read_text()
    shares = [int(share) / 100 for share in re.findall(r"\.c\d \{[^}]*accent\) (\d+)%", style)]
    assert len(shares) == 5
    for share in shares:
        channels = zip(*(bytes.fromhex(one[1:]) for one in (palette.accent, palette.background)), strict=True)
        mixed = "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in channels)
        assert contrast(palette.ink, mixed) >= 4.5
    assert contrast(palette.muted, palette.surface) >= 4.5
