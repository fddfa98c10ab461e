"""Helpers that all other packages use: errors about arguments, files of arrays, progress bars."""
