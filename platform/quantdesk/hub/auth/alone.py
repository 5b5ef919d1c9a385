"""A hub that does not run as root serves one person. An edge module: it asks the system whose account this is."""

from __future__ import annotations

import os
import pwd

__all__ = ["one_person"]


def one_person(administrator: str) -> str:
    """Why a hub that does not run as root refuses everybody but one."""
    try:
        account = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        account = str(os.geteuid())
    return (
        f"This hub runs under the account {account} and serves {administrator} alone: only root can give each person "
        "an account of their own, and without one everybody could read everybody's files. "
        "Run quantdesk as root to serve several people."
    )
