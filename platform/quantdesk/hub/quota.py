"""How much a home holds, and whose is too full for another start. An edge module: it calls du.

A file system with project quotas stops a user at the very byte; it wants root, a mount option, and a file system that
has them. Here homes are measured instead: when a server starts, and by ``quantdesk homes``. Who is above the limit gets
no server until there is room again, and is told how much is there and what is largest. A home that grows while its
server runs is measured now and then (`quantdesk.hub.fullness`).

It is measured as the user: nothing is read that he could not read, and no link is followed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.accounts import Account, Accounts
from quantdesk.hub.auth.given import read
from quantdesk.hub.config import HubFiles

__all__ = ["HomeFull", "QuotaConfig", "Usage", "check", "measured", "overview", "size"]

_GB = 1_000_000_000
_GENTLE = (("nice", "-n", "19"), ("ionice", "-c", "3"))
_LINE = re.compile(r"(\d+)\t\./([^/\n]+)")


class HomeFull(EnvironmentProblem):
    """A home holds more than is allowed."""


class QuotaConfig(BaseSettings):
    """How much a home may hold.

    Attributes
    ----------
    quota_gb
        ``QUANTDESK_HOME_QUOTA_GB``: gigabytes (10⁹ bytes) above which no server starts; 0 for what the profile of a
        server allows, and for no limit where there are no profiles.
    patience_s
        ``QUANTDESK_HOME_PATIENCE_S``: seconds that a start waits for the measuring; a home that takes longer counts as
        not measured, and its server starts.
    look_every_s
        ``QUANTDESK_HOME_LOOK_EVERY_S``: seconds between two measurings of the home of a server that runs; 0 for none.
    """

    model_config = SettingsConfigDict(env_prefix="QUANTDESK_HOME_", frozen=True, extra="ignore")

    quota_gb: float = Field(default=0.0, ge=0, le=1_000_000)
    patience_s: float = Field(default=20.0, gt=0, le=80)
    look_every_s: int = Field(default=900, ge=0)

    @classmethod
    def from_env(cls, **given: object) -> Self:
        """Read the environment; what is given by name wins.

        Raises
        ------
        BadParameter
            A value is out of range or no number; the message names the variable.
        """
        return read(cls, given)

    @property
    def limit(self) -> int | None:
        """Bytes; None without a limit."""
        return round(self.quota_gb * _GB) or None

    def limit_in(self, of_profile: int) -> int:
        """Bytes that a home may hold where a profile allows so many: the limit of the hub goes first; 0 is none."""
        return self.limit or of_profile


@dataclass(frozen=True)
class Usage:
    """What a home holds.

    Attributes
    ----------
    user
        Whose.
    used
        Bytes on the disk; None where it could not be measured in time.
    limit
        Bytes that are allowed; None without a limit.
    largest
        The largest things at its top: name and bytes.
    """

    user: str
    used: int | None
    limit: int | None
    largest: tuple[tuple[str, int], ...] = ()

    @property
    def told_largest(self) -> str:
        """A sentence about what is largest, with a space before it; empty where that is not known."""
        parts = ", ".join(f"{name} with {size(count)}" for name, count in self.largest)
        return f" The largest: {parts}." if parts else ""

    @property
    def is_over(self) -> bool:
        """Whether it is above the limit."""
        return self.used is not None and self.limit is not None and self.used > self.limit


def check(account: Account, config: QuotaConfig | None = None, *, of_profile: int = 0) -> None:
    """See whether a user's server may start.

    Parameters
    ----------
    account
        Whose home.
    config
        The hub's limit, which goes before a profile's; None reads the environment.
    of_profile
        Bytes that the profile of the server allows; 0 for no limit.

    Raises
    ------
    HomeFull
        The home is above the limit.
    """
    config = config or QuotaConfig.from_env()
    limit = config.limit_in(of_profile)
    if not limit:
        return
    found = measured(account, limit, config.patience_s)
    if found.is_over and found.used is not None:
        allowed = f"{config.quota_gb:g} GB" if config.limit else f"{size(limit)} in this profile"
        raise HomeFull(
            f"Your home holds {size(found.used)}, and {allowed} are allowed.{found.told_largest}",
            "Ask an administrator to make room or to raise the limit; nothing of yours was removed.",
        )


def overview(files: HubFiles, config: QuotaConfig | None = None) -> tuple[Usage, ...]:
    """Every home of the hub's users, the fullest first."""
    config = config or QuotaConfig.from_env()
    if os.geteuid() == 0:
        accounts = [one for one in Accounts(files).all() if not one.user.startswith("@")]
    else:
        homes = files.homes.iterdir() if files.homes.is_dir() else ()
        accounts = [Account(home.name, "", os.geteuid(), os.getegid(), str(home)) for home in homes if home.is_dir()]
    found = [measured(one, config.limit, 600.0) for one in accounts if Path(one.home).is_dir()]
    return tuple(sorted(found, key=lambda one: -(one.used or 0)))


def measured(account: Account, limit: int | None, patience: float, *, gently: bool = False) -> Usage:
    """Measure a home.

    Parameters
    ----------
    account
        Whose.
    limit
        Bytes that are allowed, for the answer; what is largest is looked up above it alone, or without one.
    patience
        Seconds.
    gently
        Whether everything else on the machine goes first.
    """
    total = _du(account, ["-s"], patience, gently=gently)
    used = int(total.split("\t")[0]) * 1024 if total and total.split("\t")[0].isdigit() else None
    if used is None or (limit is not None and used <= limit):
        return Usage(account.user, used, limit)
    parts = _LINE.findall(_du(account, ["-a", "-d", "1"], patience, gently=gently) or "")
    shown = [
        ("".join(one if one.isprintable() else "?" for one in name[:60]), int(size) * 1024) for size, name in parts
    ]
    return Usage(account.user, used, limit, tuple(sorted(shown, key=lambda one: -one[1])[:3]))


def size(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / _GB:.1f} GB" if count >= _GB else f"{count / 1e6:.0f} MB"


def _gentle() -> list[str]:
    """The beginning of a command line that lets everything else go first, as far as this machine has the tools."""
    found = [(shutil.which(name), rest) for name, *rest in _GENTLE]
    return [word for tool, rest in found if tool for word in (tool, *rest)]


def _du(account: Account, options: list[str], patience: float, *, gently: bool) -> str | None:
    """What du says of a home, in units of 1024 bytes; None where it says nothing in time."""
    tool = shutil.which("du")
    if tool is None:
        return None
    as_user = {"user": account.uid, "group": account.gid, "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        done = subprocess.run(
            [*(_gentle() if gently else ()), tool, "-k", "-x", *options, "."], cwd=account.home, env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, check=False, **as_user,
        )  # type: ignore[call-overload]  # fmt: skip
    except (subprocess.TimeoutExpired, OSError):
        return None
    return str(done.stdout.decode("utf-8", "replace"))
