"""What jsonschema need not compile in a process of our own. An edge module: it changes what can be imported.

When it is imported and the package ``rfc3987_syntax`` is there, jsonschema compiles a grammar of internationalised
addresses, for more than a second. No notebook holds such an address in a field that its schema checks.
"""

from __future__ import annotations

import sys

__all__ = ["spare"]


def spare() -> None:
    """Keep that package out of this process. For our own programs alone: a library does not decide for its caller."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
