"""Lava processes and their models, each module a folder of its own.

To find the models of a process, Lava's compiler executes every file beside that in which the
process is defined, and for each module of its package all those beside that one again. Beside
these there are none, which halves the time in which a graph starts.
"""
