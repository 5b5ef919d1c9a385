"""The parts of ``alpaca-py`` that are used. An edge module: they talk to the network.

Importing them imports its streams, too, and those a part of ``websockets`` that warns of its end. Nothing here streams.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.common.enums import Sort
    from alpaca.common.exceptions import APIError
    from alpaca.common.rest import RESTClient
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
    from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest, MarketOrderRequest

__all__ = [
    "APIError",
    "GetOrdersRequest",
    "LimitOrderRequest",
    "MarketOrderRequest",
    "OrderSide",
    "QueryOrderStatus",
    "RESTClient",
    "Sort",
    "StockHistoricalDataClient",
    "TimeInForce",
    "TradingClient",
]
