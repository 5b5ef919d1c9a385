"""Which name somebody has in the hub, by the name that the directory or the provider gives. Pure.

A name of the hub becomes a system account and a folder, so little is allowed in it (see
`quantdesk.hub.config.USER_NAME_RULE`). Capital letters become small ones, and a dot becomes a hyphen, because most
firms write ``ana.berg``. Of an address, ``ana@firm.example``, the part before the ``@`` counts if the part behind it is
the one domain that the settings name; otherwise it would be anybody's who is called Ana. Everything else is refused:
nothing is dropped and nothing is cut, which would make one name of two.

Two names can still meet in one (``ana.berg`` and ``ana-berg``). Whose it is then is decided by
`quantdesk.hub.auth.identities`: the first one's, and the other is refused.
"""

from __future__ import annotations

from quantdesk.errors import BadInput
from quantdesk.hub.config import USER_NAME_RULE, valid_user

__all__ = ["hub_name"]


def hub_name(upstream: str, email_domain: str = "") -> str:
    """The name in the hub.

    Parameters
    ----------
    upstream
        As the directory or the provider gives it.
    email_domain
        The domain whose addresses are names; empty: none.

    Raises
    ------
    BadInput
        There is none; the message is for the person who wants to log in.

    Examples
    --------
    >>> hub_name("Ana.Berg"), hub_name("ana@firm.example", "firm.example")
    ('ana-berg', 'ana')
    """
    name, at, domain = upstream.partition("@")
    if at and (not email_domain or domain.lower() != email_domain.lower()):
        raise BadInput(
            f"Your name is the address {_shown(upstream)}, and this hub takes "
            + (f"addresses of {email_domain} alone." if email_domain else "no addresses as names."),
            "Ask the administrator: QUANTDESK_LOGIN_EMAIL_DOMAIN names the domain whose addresses are names.",
        )
    small = name.lower() if name.isascii() else name
    found = small.replace(".", "-")
    if not valid_user(found):
        raise BadInput(f"Your name is {_shown(upstream)}, which cannot be a name here.", USER_NAME_RULE)
    return found


def _shown(name: str) -> str:
    return repr(name[:60])
