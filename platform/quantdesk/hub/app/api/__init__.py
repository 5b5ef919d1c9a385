"""``/api/v1``: each room answers for one subject. Edge modules: FastAPI.

::

    halts, guardrails    what trades, what a policy says of an order
    features             historical with evidence, online, the list
    orders               an order through the desk
    scenarios            run one; jobs
    reports              reports, runs, artefacts
    routes               all of them
    shapes               what several of them answer with
"""
