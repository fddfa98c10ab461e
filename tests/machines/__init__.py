"""What other machines compute, emulated: `tox -e machines` runs this folder, and nothing else does."""
