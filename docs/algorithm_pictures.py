"""Make the pictures of docs/algorithm.md, with the functions that the page explains.

``python docs/algorithm_pictures.py`` makes all of them in some seconds; names make some, for
example ``python docs/algorithm_pictures.py quantizers raster``. Matplotlib is needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spikebp_plugins import Checkpoint, Operations, Simulator, SpikingMLP, load_dataset
from spikebp_plugins.conversion.relu import relu_scores
from spikebp_plugins.data.images import Dataset, error_percent, shuffled
from spikebp_plugins.rules.quantization import (
    rectified_spiking_quantization,
    spiking_stream_quantization,
)
from spikebp_plugins.simulation.plots import COLORS, plot_raster, save_picture

DOCS = Path(__file__).parent

EPOCHS = 30
QUANTIZERS = {"signed": spiking_stream_quantization, "rectified": rectified_spiking_quantization}


class Lesson(NamedTuple):
    """What a network learned, and what each epoch took and came to."""

    data: Dataset
    checkpoint: Checkpoint
    operations: list[Operations]
    test_errors: list[float]


@cache
def learned() -> Lesson:
    """Train a network with two hidden layers on digits."""
    data = load_dataset("digits")
    operations, test_errors = [], []
    with Simulator(SpikingMLP.paper((64, 100, 100, 10), learning_rate=0.05)) as sim:
        for epoch in range(EPOCHS):
            before = sim.operations
            order = shuffled(len(data.x_train), sim.net.seed, epoch)
            sim.train(data.x_train[order], data.y_train[order])
            operations.append(sim.operations - before)
            test_errors.append(error_percent(sim.predict(data.x_test), data.y_test))
        return Lesson(data, sim.checkpoint(), operations, test_errors)


def quantizers(figure: Figure) -> None:
    """Both quantizers on a ramp, whose sum they follow, and on constants, which they approach."""
    ramp = np.linspace(0.6, -0.6, 40)
    axes = figure.subplots(2, 2, sharex="row", sharey="row")
    for (name, quantize), (top, bottom) in zip(QUANTIZERS.items(), axes.T, strict=True):
        _draw_sums(top, ramp, quantize(ramp[:, np.newaxis])[:, 0])
        top.set_title(f"{name}, input falling from 0.6 to -0.6")
        for color, value in zip(COLORS, (0.3, -0.3), strict=False):
            limit = max(value, 0.0) if name == "rectified" else value
            spikes = quantize(np.full((40, 1), value))[:, 0]
            _draw_mean(bottom, spikes, limit, color, f"input {value}")
        bottom.set_title(f"{name}, constant input")
    axes[0, 0].set_ylabel("sum so far")
    axes[1, 0].set_ylabel("mean so far")


def _draw_sums(axes: Axes, stream: NDArray[np.float64], spikes: NDArray[np.int64]) -> None:
    steps = np.arange(1, len(stream) + 1)
    axes.plot(steps, stream.cumsum(), color="0.4", label="input")
    axes.step(steps, spikes.cumsum(), where="mid", color=COLORS[0], label="spikes")
    axes.vlines(steps, 0, spikes, color=COLORS[1], lw=2, label="spikes of the step")
    axes.grid(alpha=0.3)
    axes.set_xlabel("step")
    axes.legend(loc="center")


def _draw_mean(axes: Axes, spikes: NDArray[np.int64], limit: float, color: str, label: str) -> None:
    steps = np.arange(1, len(spikes) + 1)
    axes.axhline(limit, color=color, ls=":")
    axes.fill_between(steps, limit - 0.5 / steps, limit + 0.5 / steps, color=color, alpha=0.15)
    axes.plot(steps, spikes.cumsum() / steps, ".-", color=color, label=label)
    axes.grid(alpha=0.3)
    axes.set_xlabel("step")
    axes.legend()


def raster(figure: Figure) -> None:
    """The spikes of all layers for one unseen image."""
    lesson = learned()
    with lesson.checkpoint.simulate() as sim:
        plot_raster(figure, sim.predict(lesson.data.x_test[:1], n_steps=20, record=True))
    figure.axes[0].set_title(f"Spikes for a test image of a {lesson.data.y_test[0]}")


def scores(figure: Figure) -> None:
    """Scores over the steps, and how they approach those of the ReLU network."""
    lesson = learned()
    x, n_steps = lesson.data.x_test[:100], 1000
    with lesson.checkpoint.simulate() as sim:
        shown = sim.predict(x, n_steps=n_steps, record=True).step_scores
        relu = relu_scores(sim.weights, x)
    left, right = figure.subplots(1, 2)
    steps = np.arange(1, n_steps + 1)
    for j in range(relu.shape[1]):
        is_class = j == lesson.data.y_test[0]
        color = COLORS[0] if is_class else "0.6"
        left.plot(steps[:100], shown[0, :100, j], color=color, lw=1.5 if is_class else 0.8)
        left.plot([100], relu[:1, j], "o", color=color, clip_on=False)
    left.set(xlabel="step", ylabel="score", title="Ten scores of one image; dots: ReLU network")
    difference = np.abs(shown - relu[:, np.newaxis])
    for color, name, values in zip(
        COLORS,
        ("largest", "mean"),
        (difference.max(axis=(0, 2)), difference.mean(axis=(0, 2))),
        strict=False,
    ):
        right.loglog(steps, values, color=color, label=f"{name} difference")
    right.loglog(steps, 1 / steps, "k:", label="1/T")
    right.set(xlabel="steps T", title="Distance to the scores of the ReLU network")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    right.legend()


def errors(figure: Figure) -> None:
    """Error spikes of a training sample, and errors on unseen images, epoch by epoch."""
    lesson = learned()
    left, right = figure.subplots(1, 2)
    per_sample = [done.errors / len(lesson.data.x_train) for done in lesson.operations]
    for axes, values, title in (
        (left, per_sample, "error spikes of a training sample"),
        (right, lesson.test_errors, "test error (%)"),
    ):
        axes.plot(np.arange(1, EPOCHS + 1), values, ".-", color=COLORS[0])
        axes.set(xlabel="epoch", title=title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)


def cost(figure: Figure) -> None:
    """Synaptic operations of a training sample, epoch by epoch."""
    lesson = learned()
    axes = figure.subplots()
    epochs, n_samples = np.arange(1, EPOCHS + 1), len(lesson.data.x_train)
    for color, phase in zip(COLORS, ("forward", "backward", "update"), strict=False):
        values = [getattr(done, phase) / n_samples for done in lesson.operations]
        axes.semilogy(epochs, values, ".-", color=color, label=phase)
    dense = lesson.operations[0].dense / lesson.operations[0].samples
    axes.axhline(dense, color="k", ls=":", label="ReLU network, multiply-adds")
    axes.set(xlabel="epoch", ylabel="additions of a training sample")
    axes.grid(alpha=0.3)
    axes.legend()


PICTURES: dict[str, tuple[Callable[[Figure], None], tuple[float, float]]] = {
    "quantizers": (quantizers, (10, 6.5)),
    "raster": (raster, (7, 8)),
    "scores": (scores, (11, 4.5)),
    "errors": (errors, (10, 4)),
    "cost": (cost, (7, 4.5)),
}


def main() -> None:
    """Make the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}")
    parser.add_argument("--folder", type=Path, default=DOCS, help="where they go")
    options = parser.parse_args()
    for name in options.names or PICTURES:
        draw, size = PICTURES[name]
        save_picture(options.folder / f"algorithm_{name}.png", draw, size=size)


if __name__ == "__main__":
    main()
