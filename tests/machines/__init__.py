"""What other machines compute, emulated.

Only `tox -e machines` runs these files, which it names: pytest finds no others than `test_*.py`.
"""
