"""What of the environment a kernel may see: everything but secrets. Pure.

A notebook can print its environment, and a page may be passed on. Names that look like a secret, the hub's own
variables and addresses that carry a password are therefore left out, unless they are allowed by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

__all__ = ["STEADY", "cleaned"]

STEADY = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""The same numbers on every machine: order of sets, and sums that do not depend on the number of processors."""

_NAMES = re.compile(
    r"TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|PRIVATE|COOKIE|API_?KEY|ACCESS_?KEY|AUTH|SIGNATURE"
    r"|^QUANTDESK_DELIVERY_|^JUPYTERHUB_|^CONFIGPROXY_|^JPY_|^JUPYTER_(?!PLATFORM_DIRS)|(^|_)(PAT|PWD_HASH|DSN)$",
    re.IGNORECASE,
)
_PASSWORD_IN_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)


def cleaned(environment: Mapping[str, str], allowed: Iterable[str] = ()) -> dict[str, str]:
    """A copy of `environment` without what looks like a secret.

    Parameters
    ----------
    environment
        Name to value, as in ``os.environ``.
    allowed
        Names that stay in spite of how they look, for example ``FRED_API_KEY``.
    """
    kept = set(allowed)
    return {
        name: value
        for name, value in environment.items()
        if name in kept or not (_NAMES.search(name) or _PASSWORD_IN_ADDRESS.search(value))
    }
