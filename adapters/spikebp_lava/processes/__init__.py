"""Lava processes and their models, and nothing else: Lava runs every file of this folder."""
