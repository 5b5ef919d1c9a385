"""What `jupyterhub_config.py` of a checkout says, for a quantdesk that was installed from a wheel."""

from quantdesk.hub.configure import configure

configure(get_config())  # type: ignore[name-defined]  # noqa: F821  (JupyterHub, which reads this file, gives it)
