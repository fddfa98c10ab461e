"""Pictures of learning curves, kernels and spikes; they need matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import PathLike
from spikebp_plugins.common.errors import integer, wrong_argument
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.connections import Convolution
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.simulation.trace import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

#: The colours of Okabe and Ito, which people with any colour vision can tell apart.
COLORS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINE_STYLES: Final = ("-", "--", ":", "-.")

#: Area of the marker of one spike, in square points; that of k spikes is k times as large.
SPIKE_AREA: Final = 8.0

#: Layers up to this size have a tick for every unit.
MOST_UNIT_TICKS: Final = 10

MOST_STEP_TICKS: Final = 10

#: Colours from negative numbers to positive ones; zero is nearly white.
SIGNED_COLORS: Final = "PuOr_r"


def save_learning_picture(
    path: PathLike, errors: Mapping[str, Sequence[float]], trace: Trace, title: str
) -> None:
    """Draw learning curves next to the spikes of one sample.

    Parameters
    ----------
    path : str or path-like
        The file; its ending decides the format.
    errors : mapping of str to sequence of float
        Test errors in percent after each epoch, by the name of the network.
    trace : Trace
        A recorded prediction; its first sample is shown.
    title : str
        Title above the spikes.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If matplotlib does not know the format.
    """

    def draw(figure: Figure) -> None:
        left, right = figure.subfigures(1, 2)
        plot_learning_curves(left.subplots(), errors)
        plot_raster(right, trace)
        right.axes[0].set_title(title)

    save_picture(path, draw, size=(11, 6.5))


def save_comparison_picture(
    path: PathLike, traces: Mapping[str, Trace], sample: int, title: str
) -> None:
    """Draw the spikes of one sample on several back ends next to each other.

    Parameters
    ----------
    path : str or path-like
        The file; its ending decides the format.
    traces : mapping of str to Trace
        The trace of each back end, by its name.
    sample : int
        Index of the sample.
    title : str
        Title of the picture.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If matplotlib does not know the format.
    """

    def draw(figure: Figure) -> None:
        parts = figure.subfigures(1, len(traces), squeeze=False)[0]
        for part, (name, trace) in zip(parts, traces.items(), strict=True):
            plot_raster(part, trace, sample)
            part.axes[0].set_title(name)

    save_picture(path, draw, title, size=(4 * len(traces), 6.5))


def save_picture(
    path: PathLike,
    draw: Callable[[Figure], None],
    title: str | None = None,
    size: tuple[float, float] = (8.0, 6.0),
) -> None:
    """Let a function draw on a new figure, and save the figure.

    Parameters
    ----------
    path : str or path-like
        The file; its ending decides the format.
    draw : callable
        Draws on the figure that it is given.
    title : str or None, default=None
        Title of the picture.
    size : tuple of float, default=(8.0, 6.0)
        Width and height in inches.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If matplotlib does not know the format.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'pictures need matplotlib: pip install "spikebp-plugins[plot]"'
        ) from error
    figure = Figure(figsize=size, layout="constrained")
    if title is not None:
        figure.suptitle(title)
    draw(figure)
    figure.savefig(path, dpi=150)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Give each row of a horizontal plot a name, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()


def plot_learning_curves(axes: Axes, errors: Mapping[str, Sequence[float]]) -> None:
    """Draw test errors in percent after each epoch, one curve for each network."""
    for (name, values), color, line in zip(errors.items(), cycle(COLORS), cycle(LINE_STYLES)):
        epochs = np.arange(1, len(values) + 1)
        label = f"{name}: {values[-1]:.1f} % at the end"
        axes.plot(epochs, values, color=color, linestyle=line, marker=".", label=label)
    # Errors fall from 90 % to 2 %: only a logarithmic axis shows both.
    axes.set_yscale("log")
    ticks = (1, 2, 5, 10, 20, 50, 100)
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="epoch", ylabel="test error (%)", title="Learning")
    axes.grid(alpha=0.3)
    axes.legend()


def plot_raster(figure: FigureBase, trace: Trace, sample: int = 0) -> None:
    """Draw the spikes of all layers over the steps of a sample, the output on top.

    Parameters
    ----------
    figure : matplotlib Figure or SubFigure
        Where to draw.
    trace : Trace
        Recorded spikes.
    sample : int, default=0
        Index of the sample.

    Notes
    -----
    The area of a marker is proportional to the number of spikes that the unit sends in the step.
    Markers of negative spikes are hollow.
    """
    layers = [counts[sample] for counts in trace.spikes]
    rows = figure.subplots(len(layers), 1, sharex=True, squeeze=False)[::-1, 0]
    names = ["input", *(f"hidden {l}" for l in range(1, len(layers) - 1)), "output"]
    for axes, counts, name, color in zip(rows, layers, names, cycle(COLORS)):
        _plot_spikes(axes, counts, color)
        axes.set_ylabel(f"{name} unit")
    n_steps = len(layers[0])
    stride = -(-n_steps // MOST_STEP_TICKS)
    rows[0].set(xlim=(0.5, n_steps + 0.5), xlabel="step")
    rows[0].set_xticks(np.arange(stride, n_steps + 1, stride))
    figure.align_ylabels(rows)
    _add_size_legend(figure, rows[0], max(int(np.abs(counts).max()) for counts in layers))


def _plot_spikes(axes: Axes, counts: NDArray[np.int64], color: str) -> None:
    for sign, face in ((1, color), (-1, "none")):
        step, unit = np.nonzero(counts * sign > 0)
        area = SPIKE_AREA * np.abs(counts[step, unit])
        axes.scatter(step + 1, unit, area, facecolors=face, edgecolors=color, linewidths=0.5)
    n_units = counts.shape[1]
    margin = 0.5 + 0.02 * n_units
    axes.set_ylim(-margin, n_units - 1 + margin)
    if n_units <= MOST_UNIT_TICKS:
        axes.set_yticks(np.arange(n_units))
        axes.tick_params(axis="y", labelsize=7)
        axes.grid(axis="y", alpha=0.3)


def _add_size_legend(figure: FigureBase, axes: Axes, largest: int) -> None:
    shown = sorted({1, -(-largest // 2), largest} - {0})
    handles: list[Any] = [
        axes.scatter([], [], s=SPIKE_AREA * k, color="0.4", label=str(k)) for k in shown
    ]
    place = {"loc": "outside lower center", "ncols": len(handles), "frameon": False}
    figure.legend(handles=handles, title="spikes of a unit in one step", **place)


def plot_kernels(axes: Axes, checkpoint: Checkpoint, layer: int = 1) -> None:
    """Draw the kernels of a convolution: a row for each channel below, a column for each above.

    Parameters
    ----------
    axes : matplotlib Axes
        Where to draw.
    checkpoint : Checkpoint
        The network and its weights.
    layer : int, default=1
        The layer that the kernels lead to.

    Raises
    ------
    ValueError
        If the layer is none of `Conv2D`.
    """
    net = checkpoint.net
    layer = integer("layer", layer, 1, net.n_layers)
    connection = net.connections[layer - 1]
    if not isinstance(connection, Convolution):
        raise wrong_argument("layer", "a layer of Conv2D", f"{layer}, one of {connection.kind}")
    kernels = checkpoint.state.weights[layer - 1].transpose(2, 3, 0, 1)
    _plot_images(axes, kernels, "weight")
    axes.set(
        title=f"Kernels of layer {layer}",
        xlabel=f"channels of layer {layer}",
        ylabel=f"channels of layer {layer - 1}",
    )


def plot_activity(
    axes: Axes, trace: Trace, net: Definition, layer: int = 0, sample: int = 0
) -> None:
    """Draw how much each unit of a layer sent during a sample, as an image for each channel.

    Parameters
    ----------
    axes : matplotlib Axes
        Where to draw.
    trace : Trace
        Recorded spikes.
    net : Definition
        The network that sent them.
    layer : int, default=0
        A layer whose units are an image.
    sample : int, default=0
        Index of the sample.

    Raises
    ------
    ValueError
        If the units of the layer are no image, or the trace is of another network.
    """
    layer = integer("layer", layer, 0, net.n_layers)
    sizes = tuple(counts.shape[2] for counts in trace.spikes)
    if sizes != net.layer_sizes:
        allowed = f"of layers of {net.layer_sizes} units, as the network has"
        raise wrong_argument("trace", allowed, f"one of {sizes}")
    shape = net.layer_shapes[layer]
    if len(shape) == 1:
        raise wrong_argument("layer", "one whose units are an image", f"{layer}, of shape {shape}")
    pixels = net.shapes[layer].pixels("image")
    spikes = trace.spikes[layer][sample].mean(axis=0)[pixels].transpose(2, 0, 1)
    n_columns = int(np.ceil(np.sqrt(len(spikes))))
    missing = -len(spikes) % n_columns
    images = np.pad(spikes, ((0, missing), (0, 0), (0, 0)), constant_values=np.nan)
    _plot_images(axes, images.reshape(-1, n_columns, *images.shape[1:]), "spikes in a step")
    axes.set(title=f"Layer {layer}, {len(spikes)} channel{'s' if len(spikes) > 1 else ''}")


def _plot_images(axes: Axes, images: NDArray[np.floating[Any]], what: str) -> None:
    """Draw images of shape (n_rows, n_columns, height, width) as a table, with a bar of colours."""
    gap = ((0, 0), (0, 0), (0, 1), (0, 1))
    table = np.pad(images, gap, constant_values=np.nan).transpose(0, 2, 1, 3)
    rows, height, columns, width = table.shape
    picture = table.reshape(rows * height, columns * width)[:-1, :-1]
    largest = np.nanmax(np.abs(picture)) or 1.0
    shown = axes.imshow(picture, cmap=SIGNED_COLORS, vmin=-largest, vmax=largest)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.figure.colorbar(shown, ax=axes, label=what)
