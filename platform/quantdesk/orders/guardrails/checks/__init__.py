"""The checks themselves, one function each: it adds what it finds, and says nothing where all is well. Pure."""

from __future__ import annotations
