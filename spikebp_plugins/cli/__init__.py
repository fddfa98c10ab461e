"""The command line: ``spikebp train``, ``predict``, ``compare``, ``reproduce`` and the rest."""

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the console entry point."""
    try:
        # All that takes time is imported here, where Ctrl-C has its line.
        import signal

        # Those that end this process, by Ctrl-C and by `kill`, and that nobody else handles.
        usual = (signal.SIG_DFL, signal.default_int_handler)
        ending = [s for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) in usual]
        for ends in ending:
            # KeyboardInterrupt would not do: NumPy's import, for one, makes an ImportError of it.
            signal.signal(ends, _end_at_once)
        from spikebp_plugins.cli.program import app

        for ends in ending:
            signal.signal(ends, signal.default_int_handler)
        app(prog_name="spikebp")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _end_at_once(*_: object) -> None:
    """End the process after a signal, in the middle of an import if need be."""
    os.write(2, b"interrupted\n")
    os._exit(130)
