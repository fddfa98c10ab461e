"""The command line: ``spikebp train``, ``predict``, ``compare``, ``reproduce`` and the rest."""

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; the console entry point."""
    try:
        # All that takes time is imported here, where Ctrl-C has its line.
        import signal

        ends_on_ctrl_c = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if ends_on_ctrl_c:
            # KeyboardInterrupt would not do: NumPy's import, for one, makes an ImportError of it.
            signal.signal(signal.SIGINT, _end_at_once)
        from spikebp_plugins.cli.program import app

        if ends_on_ctrl_c:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        app(prog_name="spikebp")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _end_at_once(*_: object) -> None:
    """End the process after Ctrl-C, in the middle of an import if need be."""
    os.write(2, b"interrupted\n")
    os._exit(130)
