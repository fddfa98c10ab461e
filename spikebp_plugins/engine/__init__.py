"""The engine in C for dense networks: built when the package is, called through ctypes."""
