"""The file of a backup: one tar of compressed tars, which `tar` alone can read, too. An edge module: files.

::

    about.json            the version, for whoever is too old to read on
    <part>.tar.gz         one for each part: files, folders and links
    manifest.json         what is in the parts; see :mod:`quantdesk.hub.backup.manifest`
    manifest.sha256       its hash

The outer tar is not compressed, so that the manifest is found without reading the parts. A reader takes nothing from
the headers of the inner tars but their length: what a member is, the manifest says, and the bytes must fit it.

::

    layout     the names of the members, and what can be told without reading them   (pure)
    headers    the bytes that a member begins and ends with                          (pure)
    writer     :class:`Writer`: part by part, the manifest at the end                (edge: files)
    reader     :class:`Reader`: the manifest first, then what fits it                (edge: files)
"""

from __future__ import annotations

from quantdesk.hub.backup.archive.layout import About
from quantdesk.hub.backup.archive.reader import PartReader, Reader, Sink
from quantdesk.hub.backup.archive.writer import PartWriter, Writer

__all__ = ["About", "PartReader", "PartWriter", "Reader", "Sink", "Writer"]
