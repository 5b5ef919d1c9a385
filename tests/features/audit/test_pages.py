"""The pages about audits are true: every block of code runs, in order, and what is said to be printed is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quantdesk.features import audit

DOCS = Path(__file__).parents[3] / "docs"


def test_every_block_of_the_how_to_runs(real_market, monkeypatch):
    from IPython.core.compilerop import CachingCompiler

    monkeypatch.setenv("QUANTDESK_MARKET_ROOT", str(real_market.root))
    page = (DOCS / "how-to" / "audit-for-look-ahead.md").read_text()
    compiler = CachingCompiler()
    space: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(blocks) >= 7
    for number, block in enumerate(blocks):
        exec(compiler(block, compiler.cache(block), "exec"), space)
        if number == 0:
            shown = repr(space["report"])
            printed = re.search(r"```text\n(.*?)```", page, flags=re.DOTALL).group(1)
            for line in printed.splitlines():
                start = line.strip().partition("…")[0]
                assert start in shown, (start, shown)
    space["test_my_feature_does_not_look_ahead"]()


@pytest.mark.parametrize("kind", [kind for kind in audit.KINDS.values() if not kind.leak], ids=lambda kind: kind.name)
def test_the_how_to_says_what_to_do_about_every_problem(kind):
    page = (DOCS / "how-to" / "audit-for-look-ahead.md").read_text().lower()
    if kind.name != "fails":  # on the whole data: the message of the function itself
        assert f"| {kind.title.lower().removesuffix(' its arguments')}" in page


def test_the_tolerance_on_the_page_is_that_of_the_code():
    from quantdesk.features.audit.answers import NOISE, RELATIVE

    page = (DOCS / "explanation" / "audits.md").read_text()
    assert f"at most {RELATIVE:.0e} of".replace("e-09", "e-9") in page
    assert f"plus {NOISE:.0e} of" in page
