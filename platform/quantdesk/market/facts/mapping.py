"""How a file of facts is to be read: the schema of the TOML file beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from quantdesk.market.admission import SOURCE_NAME
from quantdesk.market.sources.mapping import Text, Writing, read_toml

__all__ = ["FactMapping", "mapping_beside"]


class FactMapping(Writing):
    """How one file of actions or memberships is to be read.

    What is not declared is taken at its worst: a universe counts as chosen among survivors.

    Attributes
    ----------
    name
        What the facts are called in the store; the file's own name when left out.
    calendar
        The exchange whose opening counts where a file gives no time of knowledge, and whose zone dates are meant in.
    currency
        Of dividends without one of their own.
    real
        False for invented facts.
    survivors_only
        Of a universe: whether its members were chosen knowing that they lived on.
    columns
        From our names to the columns of the file. Common names are found without it.
    symbols
        New names for symbols, for example ``"BRK/B" = "BRK.B"``.
    note
        Shown with every result.
    """

    name: str | None = None
    calendar: Text = "XNYS"
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "USD"
    real: bool = True
    survivors_only: bool = True
    columns: dict[str, Text] = Field(default_factory=dict)
    symbols: dict[str, Text] = Field(default_factory=dict)
    note: str = ""

    @field_validator("name")
    @classmethod
    def _name(cls, name: str | None) -> str | None:
        if name is not None and not SOURCE_NAME.fullmatch(name):
            raise ValueError("up to 32 of a-z 0-9 _ - are allowed, and the first is a letter or a digit")
        return name


def mapping_beside(path: Path) -> FactMapping:
    """The mapping in ``<file without its ending>.toml``, or the defaults where there is none."""
    own = path.with_name(path.name.split(".")[0] + ".toml")
    return read_toml(own, FactMapping) if own.is_file() else FactMapping()
