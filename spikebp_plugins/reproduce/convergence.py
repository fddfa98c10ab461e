"""The spiking network becomes the ReLU network as T grows: in prediction and in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spikebp_plugins.conversion.relu import relu_scores
from spikebp_plugins.data.images import error_percent
from spikebp_plugins.reproduce.study import Report, Study, TrainedNetwork

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS: Final = (5, 10, 20, 50, 100)
HIDDEN_LAYERS: Final = (200, 200)

#: Epochs of the network whose scores are compared, and of the networks whose weights are compared.
EPOCHS_BEFORE: Final = 4
EPOCHS: Final = 1


def run(study: Study) -> Report:
    """Show one network for more and more steps, and train one for each number of steps."""
    shown = study.learned(study.net(*HIDDEN_LAYERS), EPOCHS_BEFORE)
    relu = study.learned(study.net(*HIDDEN_LAYERS), EPOCHS, "ReLU")
    x, y = study.test
    expected = relu_scores(shown.weights, x * study.data.input_scale)
    rows = []
    with shown.checkpoint.simulate() as sim:
        for T in STEPS:
            scores = sim.predict(x, n_steps=T)
            trained = study.learned(study.net(*HIDDEN_LAYERS, n_steps=T), EPOCHS)
            rows.append(
                {
                    "T": T,
                    "largest score difference": float(np.abs(scores - expected).max()),
                    "mean score difference": float(np.abs(scores - expected).mean()),
                    "test error, shown for T, %": error_percent(scores, y),
                    "weights, distance to ReLU": distance(trained, relu),
                    "test error, trained with T, %": trained.test_errors[-1],
                }
            )
    slopes = {
        name: float(np.polyfit(np.log(STEPS), np.log([row[name] for row in rows]), 1)[0])
        for name in ("mean score difference", "weights, distance to ReLU")
    }

    shown_as_relu = (
        f"The ReLU network with the weights that are shown has a test error of "
        f"{error_percent(expected, y):.2f} %; one that is trained for {EPOCHS} epoch has "
        f"{relu.test_errors[-1]:.2f} %."
    )
    falling = (
        f"The mean score difference falls as T^{slopes['mean score difference']:.2f}, the "
        f"distance of weights as T^{slopes['weights, distance to ReLU']:.2f}."
    )

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, slope in slopes.items():
            values = [row[name] for row in rows]
            axes.loglog(STEPS, values, "o-", label=f"{name}, ~ T^{slope:.2f}")
        axes.set_xlabel("T")
        axes.legend()

    title = study.title(HIDDEN_LAYERS, ": spiking against ReLU as T grows")
    return Report(title, rows, [shown_as_relu, falling], draw)


def distance(network: TrainedNetwork, other: TrainedNetwork) -> float:
    """Return the distance of the weights to those of `other`, relative to what `other` learned."""
    start = other.net.init_weights()
    apart = sum(_square(a - b) for a, b in zip(network.weights, other.weights, strict=True))
    learned = sum(_square(b - c) for b, c in zip(other.weights, start, strict=True))
    return float(np.sqrt(apart / learned))


def _square(values: Any) -> float:
    return float(np.square(values).sum())
