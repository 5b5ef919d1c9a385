"""Read by every user's server, in the user's own process."""

import os
from pathlib import Path

from quantdesk.compute.inherited import inherit
from quantdesk.hub.lab import server_settings
from quantdesk.hub.tether import LAUNCHER, outlive

if "TMPDIR" in os.environ:  # private, so that nothing lands in /tmp for others to find
    Path(os.environ["TMPDIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)

inherit()  # before the first kernel
if LAUNCHER in os.environ:
    outlive(int(os.environ[LAUNCHER]))
if believed := os.environ.get("QUANTDESK_SHARING_BELIEVED_S"):
    from quantdesk.hub.lab.visitors import watch

    watch(os.environ.get("JUPYTERHUB_USER", ""), float(believed))

settings = get_config()  # type: ignore[name-defined]  # noqa: F821  (given by the one that reads this file)
for owner, traits in server_settings(os.environ).items():
    for trait, value in traits.items():
        setattr(settings[owner], trait, value)
