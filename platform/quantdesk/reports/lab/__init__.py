"""JupyterLab's own interface for jobs, kept by the platform: what is scheduled there outlives the user's server.

::

    job          what a job of JupyterLab is, as the ledger keeps it                  (pure)
    described    a run and a schedule in the form that JupyterLab reads               (pure)
    kept         the notebooks that were handed in, each by its hash
    clearing     removes those that no job needs any more
    here         carries a job out under the account of the worker
    frames       what a job under another account sends back through a pipe
    errand       the process under that account: ``python -m quantdesk.reports.lab.errand``
    client       asks the service, from a user's server
    scheduler    the scheduler that JupyterLab's extension talks to, in a user's server

A job is an order of the ledger like any other, with ``lab`` as its trigger and private to its user. Where each user has
an account of his own, jobs run under that account and never under the worker's: see :mod:`quantdesk.hub.behalf`.
"""
