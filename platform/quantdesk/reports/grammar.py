"""What jsonschema need not load in a process of our own. An edge module: it changes what can be imported.

When it is imported, jsonschema compiles a grammar of internationalised addresses for more than a second where the
package ``rfc3987_syntax`` is there, and loads a library of calendars where ``isoduration`` is. No notebook holds such
an address, or a duration, in a field that its schema checks.
"""

from __future__ import annotations

import sys

__all__ = ["spare"]


def spare() -> None:
    """Keep both out of this process. For our own programs alone: a library does not decide for its caller."""
    for name in ("rfc3987_syntax", "isoduration"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
