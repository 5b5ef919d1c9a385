"""Jobs of JupyterLab, each under its user's own account, whether the user's server runs or not. Edge modules.

::

    __main__     ``python -m quantdesk.hub.behalf``: starts as root, forks the door, and becomes the worker of the jobs
    work         that worker, under an account of its own
    door         root's side: checks that the service has sealed an order, and starts it under the user's account
    warden       root's side, one process for each job: nothing of a job outlives it
    errands      the worker's side: hands an order through the door, and takes what comes back through a pipe
    mine         which processes belong to jobs, so that the end of a user's server leaves them alone

The worker claims jobs, keeps the ledger and publishes what comes back, under an account that owns nothing else. It
cannot have anything run: the door asks for the service's seal over user, notebook and parameters, which only the
service can make, for the user who asked it. So neither who can write the ledger nor a report of the team has code run
as somebody else. What runs as the user gets its order in its environment and the notebook through a pipe, and nothing
is read from his home.
"""
