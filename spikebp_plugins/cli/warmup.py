"""The command ``spikebp warmup``."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from spikebp_plugins.cli import options
from spikebp_plugins.cli.layers import Connections, smallest_network
from spikebp_plugins.cli.output import print_json
from spikebp_plugins.network.checkpoint import load
from spikebp_plugins.network.definition import SpikingMLP


@options.network_options()
def warmup(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            help="File written by `spikebp train --save`; without one, a network of the options "
            "below, whose sizes do not matter."
        ),
    ] = None,
    backend: options.BackendName = "compiled",
    as_json: options.Json = False,
    connections: Connections = None,
    *,
    given: dict[str, Any],
) -> None:
    """Compile ahead of time what a network may need, so that its first samples wait for nothing.

    For blocks, single calls, streams and early guesses; what is compiled is kept.
    """
    from spikebp_plugins.simulation.warmup import warmup

    if checkpoint is not None:
        options.check_beside_checkpoint(given, connections=connections)
        net = load(checkpoint).net
    elif connections is not None:
        net = smallest_network(connections, given)
    else:
        net = SpikingMLP((2, 2, 2), **given)
    typer.echo("compiling what is not compiled yet; this can take minutes ...", err=True)
    start = perf_counter()
    warmup(net, backend)
    seconds = perf_counter() - start
    if as_json:
        print_json({"backend": backend, "seconds": seconds})
        return
    typer.echo(f"{backend}: ready after {seconds:.0f} s")
