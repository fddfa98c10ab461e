"""A program for a board, and what builds and emulates it."""
