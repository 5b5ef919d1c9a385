"""A user's server is opened to others whom he names, and closed again.

::

    config     whether it is possible at all: ``QUANTDESK_SHARING``                          (edge)
    rules      who may give his server to whom                                               (pure)
    kept       what was given, in the hub's database; what the rules forbid by now, ended    (edge)
    pages      the page on which it is given and taken back; JupyterHub's API in between     (edge)

It is JupyterHub's own sharing: one scope, ``access:servers!server=owner/``, for one user or one group. Users do not get
JupyterHub's scope ``shares``: its API would hand out links that open a server to whoever has one, and knows nothing of
roles. What is allowed goes through the page here.
"""
