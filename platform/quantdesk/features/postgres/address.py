"""The address of a team's feature store. Pure.

What an address is, and how its password stays out of sight: see :mod:`quantdesk.records.address`.
"""

from __future__ import annotations

from pydantic import SecretStr

from quantdesk.records.address import Address
from quantdesk.records.address import parse as parse_address

__all__ = ["Address", "parse"]


def parse(url: str | SecretStr) -> Address:
    """Take the address of a feature store apart.

    Raises
    ------
    BadInput
        It is no address of a PostgreSQL database, or a part is missing or malformed.
    """
    return parse_address(url, "A feature store")
