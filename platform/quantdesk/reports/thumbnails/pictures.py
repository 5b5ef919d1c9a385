"""Pictures made small. Pure."""

from __future__ import annotations

import io
import warnings

__all__ = ["WIDTH", "scaled"]

WIDTH = 480
"""Pixels; twice what a card of the gallery shows, for dense screens."""
MOST_PIXELS = 50_000_000


def scaled(picture: bytes) -> bytes:
    """A PNG of at most `WIDTH` pixels in width; nothing where `picture` is none, or is far too large.

    Parameters
    ----------
    picture
        PNG or JPEG, from a stranger.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a bomb is a warning before it is an error
            with Image.open(io.BytesIO(picture), formats=["PNG", "JPEG"]) as image:
                if image.width * image.height > MOST_PIXELS:
                    return b""
                image.thumbnail((WIDTH, WIDTH))
                target = io.BytesIO()
                image.convert("RGBA" if image.mode in {"RGBA", "LA", "P"} else "RGB").save(target, "PNG", optimize=True)
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError):
        return b""
    return target.getvalue()
