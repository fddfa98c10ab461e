"""Compiles kernels and leaves them in the cache: the program that `beside` starts.

``python -m spikebp_plugins.compiled.compiler LOCK`` reads the kernels from its standard input, and
writes the index of each on a line of its own as soon as it is in the cache. It ends what it has
begun also if whoever has started it is gone. Of the programs with the same lock one compiles at a
time: the others wait, and most often find in the cache what they would have compiled.
"""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress
from importlib import import_module


def main() -> None:
    """Compile what standard input asks for."""
    from filelock import FileLock

    asked = sys.stdin.buffer.read()
    with FileLock(sys.argv[1]):
        for index, (module, name, types) in enumerate(pickle.loads(asked)):
            getattr(import_module(module), name).compile(types)
            _say(f"{index}\n")


def _say(text: str) -> None:
    with suppress(OSError):  # perhaps nobody listens any more
        os.write(sys.stdout.fileno(), text.encode())


if __name__ == "__main__":
    main()
