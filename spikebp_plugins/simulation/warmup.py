"""Gets back ends ready before they are needed: what is compiled at its first use is used once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial

import numpy as np

from spikebp_plugins.backends.base import Backend, UnsupportedError
from spikebp_plugins.backends.registry import alone, backend_for
from spikebp_plugins.common.progress import progress_bar
from spikebp_plugins.network.definition import require_definition
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.network.state import initial_state


def warmup(net: Definition, backend: str = "compiled", *, progress: bool | None = None) -> None:
    """Compile ahead of time all that a definition may need.

    The first samples of a definition then wait for nothing: neither those of blocks and single
    calls, nor streams of vectors and events, nor predictions that stop at a margin, nor samples
    whose values need numbers of more bits. What is compiled is kept for later processes, and serves
    all definitions that differ in sizes, rates and numbers of steps alone.

    Parameters
    ----------
    net : Definition
        The definition. Nothing is learned.
    backend : str, default="compiled"
        Name of an installed back end, with options behind a colon if any.
    progress : bool or None, default=None
        Whether to show a progress bar; None shows one for long work on a terminal.

    Raises
    ------
    ValueError
        If an argument has a value that is not allowed.
    UnsupportedError
        If the back end cannot run the definition; the message says why.
    ImportError
        If the back end needs a package that is not installed.

    Examples
    --------
    >>> warmup(SpikingMLP((4, 8, 2)), "reference")
    """
    require_definition("net", net)
    _, cls, options = backend_for(net, alone(backend), {})
    with closing(cls(net, initial_state(net), **options)) as engine:
        parts = engine.preparations()
        if parts is None:
            parts = list(first_uses(engine))
        with progress_bar(len(parts), "compiling", "parts", wanted=progress) as bar:
            for part in parts:
                with suppress(UnsupportedError):  # then nobody will wait for it
                    part()
                bar.update()


def first_uses(engine: Backend) -> Iterator[Callable[[], object]]:
    """Yield functions that show zeros in all forms of blocks, for what compiles as it is used."""
    net = engine.net
    zeros, steps, label = np.zeros((1, 1, net.n_inputs)), net.n_steps, np.zeros(1, np.int64)
    batches = [check_batch(net, zeros, label, 1)]
    if net.input_coding == "values":  # constant input has kernels of its own
        batches.append(check_batch(net, zeros[:, 0], label, steps))
    for batch in batches:
        yield partial(engine.train, batch, False)
        unlabelled = check_batch(net, batch.x, n_steps=batch.n_steps)
        yield partial(engine.predict, unlabelled, False)
    yield partial(engine.predict_until, unlabelled, 0.0)
