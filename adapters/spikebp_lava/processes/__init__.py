"""Lava processes and their models, each module a folder of its own.

To find the models of a process, Lava's compiler executes every file in the folder of the process
and, for each module of its package, every file in that module's folder once more. Each module here
is alone in its folder, which halves the time that a graph takes to start.
"""
