"""What there is to watch for: conditions by name. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from quantdesk.orders.alerts.conditions import account, market, orders
from quantdesk.orders.alerts.conditions.condition import Condition

__all__ = ["CONDITIONS"]

CONDITIONS: Mapping[str, type[Condition]] = {
    "drawdown": account.Drawdown,
    "day_loss": account.DayLoss,
    "gross_exposure": account.GrossExposure,
    "net_exposure": account.NetExposure,
    "position_concentration": account.PositionConcentration,
    "sector_concentration": account.SectorConcentration,
    "value_at_risk": account.ValueAtRisk,
    "cash_negative": account.CashNegative,
    "margin": account.Margin,
    "guardrail_blocks": orders.GuardrailBlocks,
    "order_rejects": orders.OrderRejects,
    "order_flood": orders.OrderFlood,
    "slow_reports": orders.SlowReports,
    "unfilled": orders.Unfilled,
    "unfilled_volume": orders.UnfilledVolume,
    "venue_down": orders.VenueDown,
    "killed": orders.Killed,
    "reconciliation_break": orders.ReconciliationBreak,
    "stop_triggered": orders.StopTriggered,
    "stale_quotes": market.StaleQuotes,
    "wide_spread": market.WideSpread,
    "no_quotes": market.NoQuotes,
    "feed_unknown": market.FeedUnknown,
    "halted": market.Halted,
    "market_halt": market.MarketHalt,
}
"""By the name that a rule gives as its ``condition``."""
