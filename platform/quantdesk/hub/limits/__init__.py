"""What a user's server may use of one machine, and what happens when it takes more.

::

    given      the file of profiles and quotas                                                     (edge)
    quotas     what the servers of a group may use together                                        (pure)
    share      a profile as cores and bytes of this machine; who is ended when it is too much      (pure)
    limited    a command that begins with cores and a limit of addresses of its own                (edge)
    groups     a control group of each server, where the system gives the hub some                 (edge)
    limiting   the part of a spawner that chooses, limits and watches                              (edge)
    watch      the memory of a whole server, looked at every second; what it does and says         (edge)

Cores are a processor affinity, which everything that a server starts inherits, warm kernels too. Memory has two limits.
Each process may address no more than the whole server may use, so that one huge allocation raises ``MemoryError`` where
it is made. And the sum over all processes of the server is watched: where it is too much, the largest of them is asked
to raise ``MemoryError`` in the cell that it runs (:mod:`quantdesk.reports.kernels.plea`), and ended where that does not
help. The rest goes on. Where there are control groups of version 2 for it, each server has one, which holds what the
watchdog was too slow for, and half a core.
"""
