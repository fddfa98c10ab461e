"""Faults on purpose: damaged files, interrupts and kills, each with a verdict."""
