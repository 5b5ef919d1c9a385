"""The tables, against pandas written out by somebody who knows nothing of the package."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.tca import HORIZONS, OrderFacts, Quote, analyse
from quantdesk.orders.tca.tables import MEASURES

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def given(draw):
    return draw(11, 80)


@pytest.fixture(scope="module")
def done(given):
    return analyse(**given)


@pytest.fixture(scope="module")
def plain(given):
    """All fills with their measures, by pandas: orders merged in, later quotes by ``merge_asof``."""
    orders = pd.DataFrame(
        [
            {"order_id": o.order_id, "bid": o.arrival.bid, "ask": o.arrival.ask, "arrived": o.arrival.at,
             "urgency": o.urgency, "action": "buy" if o.side > 0 else "sell", "ordered": o.shares}
            for o in given["orders"]
        ]
    )  # fmt: skip
    fills = pd.DataFrame([{name: getattr(f, name) for name in f.__slots__} for f in given["fills"]])
    table = fills.merge(orders, on="order_id", validate="many_to_one")
    mid = (table["bid"] + table["ask"]) / 2 / 1e6
    price = table["price"] / 1e6
    table["mid"], table["paid"] = mid, price
    table["slippage"] = table["side"] * (price - mid)
    table["effective_spread"] = 2 * table["slippage"]
    table["quoted_spread"] = (table["ask"] - table["bid"]) / 1e6
    table["improvement"] = np.where(table["side"] > 0, table["ask"] / 1e6 - price, price - table["bid"] / 1e6)
    table["elapsed"] = (table["at"] - table["arrived"]) / 1e9
    quotes = pd.concat(
        [pd.DataFrame({"symbol": t.symbol, "when": t.at, "later": (t.bid + t.ask) / 2e6}) for t in given["tapes"]]
    ).drop_duplicates(["symbol", "when"], keep="last")
    for name, delay in HORIZONS.items():
        left = table[["symbol", "at"]].assign(when=table["at"] + delay, row=np.arange(len(table))).sort_values("when")
        later = pd.merge_asof(left, quotes.sort_values("when"), on="when", by="symbol").set_index("row")["later"]
        later[left.set_index("row")["when"] > given["tapes"][0]._close[1]] = np.nan
        table[f"realized_{name}"] = 2 * table["side"] * (price - later.sort_index())
        table[f"impact_{name}"] = table["effective_spread"] - table[f"realized_{name}"]
    return table


@pytest.mark.parametrize("keys", [(), ("symbol",), ("venue",), ("urgency",), ("symbol", "action"), ("order_id",)])
@pytest.mark.parametrize("per", ["share", "notional"])
def test_averages_agree_with_pandas(done, plain, keys, per):
    found = done.by(*keys, per=per)
    groups = {"all": plain} if not keys else dict(list(plain.groupby(keys[0] if len(keys) == 1 else list(keys))))
    with_fills = found[found["fills"].notna()]
    assert set(with_fills.index) == set(groups)
    for key, group in groups.items():
        row = found.loc[key]
        assert row["shares"] == group["shares"].sum()
        assert row["notional_usd"] == pytest.approx((group["shares"] * group["paid"]).sum())
        for name in MEASURES:
            known = group[group[name].notna()]
            weight = known["shares"] if per == "share" else known["shares"] * known["mid"]
            values = known[name] if per == "share" else known[name] / known["mid"] * 1e4
            expected = np.average(values, weights=weight) if len(known) else np.nan
            unit = "usd" if per == "share" else "bps"
            assert row[f"{name}_{unit}"] == pytest.approx(expected, nan_ok=True, abs=1e-9), name
        shares = group["shares"]
        assert row["improved"] == pytest.approx(shares[group["improvement"] > 1e-9].sum() / shares.sum())
        assert row["outside"] == pytest.approx(shares[group["improvement"] < -1e-9].sum() / shares.sum())
        assert row["improved"] + row["at_quote"] + row["outside"] == pytest.approx(1)
        sided = group[group["liquidity"] != ""]
        share = sided.loc[sided["liquidity"] == "add", "shares"].sum() / max(sided["shares"].sum(), 1)
        assert row["maker"] == pytest.approx(share if len(sided) else np.nan, nan_ok=True)
        assert row["fee_per_share_usd"] == pytest.approx(group["fee"].sum() / 1e6 / shares.sum())
        assert row["time_mean_s"] == pytest.approx(np.average(group["elapsed"], weights=shares))
        single = np.repeat(group["elapsed"], shares)
        assert row["time_p50_s"] == pytest.approx(np.quantile(single, 0.5, method="inverted_cdf"))
        assert row["time_p99_s"] == pytest.approx(np.quantile(single, 0.99, method="inverted_cdf"))


@settings(max_examples=25, deadline=None)
@hypothesis_given(
    seed=st.integers(0, 10**6),
    number=st.integers(5, 25),
    key=st.sampled_from(["symbol", "venue", "urgency", "size", "order_id"]),
    per=st.sampled_from(["share", "notional"]),
)
def test_an_average_is_the_weighted_mean_of_its_parts(draw, seed, number, key, per):
    done = analyse(**draw(seed, number))
    if not len(done.fills):
        return
    unit, column = ("usd", "shares") if per == "share" else ("bps", "mid_value")
    fills = done.fills.assign(mid_value=done.fills["shares"] * done.fills["mid"])
    whole, parts = done.by(per=per).iloc[0], done.by(key, per=per)
    weight = fills.groupby(key, observed=True)[column].sum().reindex(parts.index)
    for name in ("slippage", "effective_spread", "improvement"):
        values = parts[f"{name}_{unit}"]
        known = values.notna()
        assert np.average(values[known], weights=weight[known]) == pytest.approx(whole[f"{name}_{unit}"])


def test_orders_have_their_own_row(done, given, plain):
    orders = done.orders
    assert list(orders.index) == [order.order_id for order in given["orders"]]
    filled = plain.groupby("order_id")["shares"].sum().reindex(orders.index, fill_value=0)
    assert orders["filled_shares"].tolist() == filled.tolist()
    assert (orders["fill_rate"] == filled / [order.shares for order in given["orders"]]).all()
    average = (plain["shares"] * plain["paid"]).groupby(plain["order_id"]).sum() / filled[filled > 0]
    np.testing.assert_allclose(
        orders["average_price"].dropna(), average[orders["average_price"].notna()[lambda x: x].index]
    )
    for name, cost in done.shortfalls.items():
        assert orders.loc[name, "shortfall_usd"] == pytest.approx(float(cost.total))
    assert orders["slippage_bps"].isna().equals(orders["filled_shares"] == 0)
    assert done.modes == ("simulated",)


def test_fill_rates_count_orders_without_a_fill(done, given):
    found = done.by("urgency")
    for word, row in found.iterrows():
        own = [order for order in given["orders"] if order.urgency == word]
        filled = sum(fill.shares for fill in given["fills"] if fill.order_id in {order.order_id for order in own})
        assert row["orders"] == len(own)
        assert row["fill_rate"] == pytest.approx(filled / sum(order.shares for order in own))


def test_a_venue_is_measured_against_what_was_sent_there(done, given):
    found = done.by("venue")
    for venue, row in found.iterrows():
        sent = sum(part.shares for part in given["routed"] if part.venue == venue)
        filled = sum(fill.shares for fill in given["fills"] if fill.venue == venue)
        assert row["sent"] == sent
        assert row["fill_rate"] == pytest.approx(filled / sent)
        assert row["orders"] == len({fill.order_id for fill in given["fills"] if fill.venue == venue})
    untold = analyse(given["orders"], given["fills"], given["tapes"]).by("venue")
    assert "sent" not in untold
    assert untold["slippage_bps"].equals(found["slippage_bps"])


def test_a_venue_that_nobody_named_keeps_its_row(given):
    told = [part for part in given["routed"] if part.venue != "XNYS"]
    found = analyse(given["orders"], given["fills"], given["tapes"], routed=told).by("venue")
    assert found.loc["XNYS", "shares"] > 0
    assert np.isnan(found.loc["XNYS", "fill_rate"])


def test_two_tapes_of_one_symbol_are_refused(given, prints):
    with pytest.raises(BadInput, match="two tapes of AAA"):
        analyse([], [], given["tapes"][:1] * 2)
    with pytest.raises(BadInput, match="two prints of AAA"):
        analyse([], [], prints=[prints("AAA")] * 2)


def test_shortfalls_by_group_add_up(done):
    whole, parts = done.shortfall_by().iloc[0], done.shortfall_by("symbol", "size")
    for name in ("delay", "execution", "opportunity", "fees", "shortfall"):
        assert parts[f"{name}_usd"].sum() == pytest.approx(whole[f"{name}_usd"])
        assert whole[f"{name}_bps"] == pytest.approx(whole[f"{name}_usd"] / whole["paper_usd"] * 1e4)
    pieces = whole[["delay_usd", "execution_usd", "opportunity_usd", "fees_usd"]].sum()
    assert pieces == pytest.approx(whole["shortfall_usd"])
    assert whole["known"] == whole["orders"] == 80


def test_the_curve_compares_the_same_fills(done, plain):
    for per in ("share", "notional"):
        found = done.realized_curve(per)
        assert list(found.index) == list(HORIZONS)
        np.testing.assert_allclose(found["effective"], found["realized"] + found["impact"])
        known = plain[plain["realized_5min"].notna()]
        assert 0 < len(known) < len(plain)
        assert found.loc["5min", "shares"] == known["shares"].sum()
        assert found.loc["5min", "share_known"] == pytest.approx(known["shares"].sum() / plain["shares"].sum())
        assert (found["realized_se"] > 0).all()
    weight = known["shares"] * known["mid"]
    assert found.loc["5min", "effective"] == pytest.approx(
        np.average(known["effective_spread"] / known["mid"] * 1e4, weights=weight)
    )


def test_intervals_are_seeded(done):
    one = done.interval("slippage", 3)
    assert one == done.interval("slippage", 3)
    assert one != done.interval("slippage", 4)
    assert one.low < done.by().iloc[0]["slippage_bps"] < one.high
    assert done.interval("slippage", 3, per="share").mean == pytest.approx(done.by(per="share").iloc[0]["slippage_usd"])
    with pytest.raises(UnknownName, match="slippage"):
        done.interval("slipage", 3)


def test_times_to_execution(done, plain):
    single = np.repeat(plain["elapsed"], plain["shares"])
    expected = np.quantile(single, [0.1, 0.5, 0.99], method="inverted_cdf")
    found = done.times((0.1, 0.5, 0.99))
    assert list(found.index) == ["p10", "p50", "p99"]
    np.testing.assert_allclose(found, expected)


def test_the_average_price_of_the_market_is_from_arrival_to_the_last_fill(given, prints):
    order = next(order for order in given["orders"] if order.order_id == given["fills"][0].order_id)
    own = [fill for fill in given["fills"] if fill.order_id == order.order_id]
    base = 1_700_000_000 * SECOND
    last = max(fill.at for fill in own)
    rows = [((at - base) / SECOND, price, shares) for at, price, shares in (
        (order.arrival.at - SECOND, 1.0, 10**6), (order.arrival.at + SECOND // 2, 100.0, 300),
        (last, 101.0, 100), (last + SECOND, 1.0, 10**6),
    )]  # fmt: skip
    found = analyse([order], own, prints=[prints(order.symbol, *rows)]).orders.iloc[0]
    paid = sum(fill.shares * fill.price for fill in own) / sum(fill.shares for fill in own) / 1e6
    assert found["vwap_slippage_bps"] == pytest.approx(order.side * (paid / 100.25 - 1) * 1e4)
    assert np.isnan(analyse([order], own).orders.iloc[0]["vwap_slippage_bps"])
    both = analyse(given["orders"], given["fills"], prints=[prints("AAA", (0, 100.0, 5), (3600, 101.0, 5))])
    assert np.isnan(both.shortfall_by().iloc[0]["vwap_slippage_bps"])  # nobody traded while these orders did


def test_the_slippage_against_the_market_is_weighted_by_value(given, prints):
    trades = [
        prints(name, *((second, 20.0 + 80 * (name == "AAA"), 10) for second in range(3600))) for name in ("AAA", "BBB")
    ]
    done = analyse(given["orders"], given["fills"], prints=trades)
    for symbol, row in done.shortfall_by("symbol").iterrows():
        own = done.orders[(done.orders["symbol"] == symbol) & done.orders["vwap_slippage_bps"].notna()]
        value = own["filled_shares"] * own["average_price"]
        assert row["vwap_slippage_bps"] == pytest.approx(np.average(own["vwap_slippage_bps"], weights=value))


def test_an_unknown_grouping_names_what_there_is(done):
    with pytest.raises(UnknownName, match="venue"):
        done.by("venues")


def test_nothing_gives_empty_tables_with_the_same_columns(done):
    nothing = analyse([], [])
    for table, full in (
        (nothing.orders, done.orders), (nothing.fills, done.fills), (nothing.by("symbol"), done.by("symbol")),
        (nothing.by(), done.by()), (nothing.shortfall_by("symbol"), done.shortfall_by("symbol")),
        (nothing.rule_605().table, done.rule_605().table), (nothing.by("venue", per="share"), None),
    ):  # fmt: skip
        assert len(table) == 0
        if full is not None:
            assert list(table.columns) == list(full.columns)
    assert nothing.modes == ()
    assert np.isnan(nothing.interval("slippage", 0).mean)
    assert nothing.times().isna().all()
    curve = nothing.realized_curve()
    assert list(curve.index) == list(HORIZONS)
    assert curve["realized"].isna().all()


def test_orders_without_fills_are_orders_nevertheless():
    quiet = OrderFacts("o", "AAA", 1, 500, Quote(1, 10, 12), Quote(1, 10, 12), Quote(5, 20, 22))
    done = analyse([quiet], [])
    row = done.by("symbol").loc["AAA"]
    assert (row["orders"], row["fill_rate"]) == (1, 0)
    assert np.isnan(row["slippage_bps"])
    assert done.shortfall_by().iloc[0]["opportunity_usd"] == pytest.approx(500 * 10 / 1e6)


def test_the_order_of_what_comes_in_does_not_matter(given, done):
    turned = analyse(given["orders"], given["fills"][::-1], given["tapes"], routed=given["routed"])
    pd.testing.assert_frame_equal(turned.by("venue"), done.by("venue"), rtol=1e-12)
    pd.testing.assert_frame_equal(turned.orders, done.orders, rtol=1e-12)
