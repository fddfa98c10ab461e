"""Lava processes of the examples, in a folder of their own.

To find the models of a process, Lava's compiler executes every Python file in the folder where the
process is defined: so scripts do not belong there.
"""
