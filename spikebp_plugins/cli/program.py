"""The program: all commands, their errors and their exit codes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from spikebp_plugins.cli import (
    backends,
    compare,
    demo,
    export_c,
    hardware,
    predict,
    reproduce,
    train,
)
from spikebp_plugins.cli.options import ARGUMENTS
from spikebp_plugins.cli.output import EXPECTED_ERRORS, one_line

#: The entry points of commands that adapters bring.
COMMANDS: Final = "spikebp_plugins.commands"


@contextmanager
def ctrl_c_in_a_line() -> Iterator[None]:
    """Exit with 130 and one line after Ctrl-C, whichever exception this Typer raises."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(130) from None


def _show_in_a_line(message: Warning | str, *_where: Any, **_more: Any) -> None:
    """Show a warning without the line of code, which is none of the user's."""
    text = one_line(message) if isinstance(message, Warning) else message
    typer.echo(f"warning: {text}", err=True)


class Commands(TyperGroup):
    """Commands that print an error as one line on stderr, and keep the arguments of the call."""

    # Typed as Any: generations of Typer have the context's class in different modules.
    def make_context(self, *arguments: Any, **extra: Any) -> Any:
        """Read the arguments; exit with 130 after Ctrl-C."""
        with ctrl_c_in_a_line():
            return super().make_context(*arguments, **extra)

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Keep the arguments for the message after Ctrl-C, which says how to resume."""
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; exit with 2 after an error and with 130 after Ctrl-C."""
        try:
            with ctrl_c_in_a_line(), warnings.catch_warnings():
                warnings.showwarning = _show_in_a_line
                return super().invoke(ctx)
        except BrokenPipeError:
            # The reader has closed the pipe, which Typer handles without a message.
            raise
        except EXPECTED_ERRORS as error:
            typer.echo(f"error: {one_line(error)}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    name="spikebp",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(train.train)
app.command()(predict.predict)
app.command()(compare.compare)
app.command()(backends.backends)
app.command()(demo.demo)
app.command()(reproduce.reproduce)
app.command("hardware-report")(hardware.hardware_report)
app.command("export-c")(export_c.export_c)
app.command("import-c")(export_c.import_c)
for _point in sorted(entry_points(group=COMMANDS), key=lambda point: point.name):
    # A command of another package that cannot be loaded must not hide all others.
    with suppress(Exception):
        app.command(_point.name)(_point.load())


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"spikebp-plugins {version('spikebp-plugins')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Train a spiking network by backpropagation, with the same result on every back end."""
