"""Where to send the parts of an order, and why.

::

    terms       what each venue charges, how far it is, whether its quotes are protected
"""
