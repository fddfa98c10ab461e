"""Lava processes and their models, each module a folder of its own.

To find the models of a process, Lava's compiler executes every file beside the file of the process
and, for each module of its package, every file beside that module once more. Each module here is
alone in its folder, which halves the time that a graph takes to start.
"""
