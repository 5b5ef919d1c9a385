"""Where series come from. An edge module: it reads files.

A source has a name, a fingerprint of the bytes behind it, and yields series: a description and a raw frame for each.
The bundled sources read what ships with quantdesk, one per package; :class:`FolderSource` reads a directory of your
own. To add another kind, write a class with the members of :class:`Source` and hand it to
:func:`quantdesk.market.load`.
"""

from quantdesk.market.sources.bundle import BundledSource, bundled
from quantdesk.market.sources.folder import FolderSource
from quantdesk.market.sources.protocol import RawSeries, Source

__all__ = ["BundledSource", "FolderSource", "RawSeries", "Source", "bundled"]
