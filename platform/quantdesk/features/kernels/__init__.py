"""The loops behind the rolling functions, compiled by numba when they are first called. Pure.

===========  ===========================================================
compiled     how a loop is compiled and where its machine code is kept
sums         window sums without rounding error; means
moments      deviations, scores and slopes on such sums
smoothing    exponential recursions
windows      returns, maxima, and features made of several loops
===========  ===========================================================

Every ``*_rows`` kernel takes tables of shape ``(rows, n)``, one history per row, and fills ``out`` of that shape. It
does not hold the interpreter's lock, so blocks of rows run in threads at once (:mod:`quantdesk.features.rolling`).

Every loop runs forward and reads no later value. Nothing is reassociated or contracted (no fast-math). Where a loop has
a faster twin, both do the same operations or sums that are exact, so a row gives the same bits alone, in a table, and
when its history ends earlier.
"""
