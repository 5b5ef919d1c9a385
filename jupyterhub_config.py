"""How JupyterHub runs here. The settings are plain functions with tests of their own: see quantdesk.hub.configure."""

from quantdesk.hub.configure import configure

configure(get_config())  # type: ignore[name-defined]  # noqa: F821  (JupyterHub, which reads this file, gives it)
