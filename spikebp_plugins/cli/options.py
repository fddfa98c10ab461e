"""Options that commands share, and what their values stand for."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from spikebp_plugins.common.errors import choice, wrong_argument
from spikebp_plugins.data.images import DATASET_NAMES, FOLDER_VARIABLE, Dataset, load_dataset
from spikebp_plugins.network.definition import CHOICES, EVENT_CHOICES, EVENT_FIELDS, SpikingMLP

#: The key under which a context's `meta` holds the arguments that the program was called with.
ARGUMENTS: Final = "spikebp_plugins.arguments"

HIDDEN_LAYERS: Final = (200, 200)

DEFAULTS: Final = {field.name: field.default for field in fields(SpikingMLP)} | EVENT_FIELDS


def field_option(name: str, text: str, *spellings: str, shown: str | None = None) -> Any:
    """Return the option for a field of the definition; its value is None if it is not given."""
    allowed = CHOICES.get(name) or EVENT_CHOICES.get(name)
    spelling = name.replace("_", "-")
    is_flag = isinstance(DEFAULTS[name], bool)
    return typer.Option(
        *spellings,
        f"--{spelling}/--no-{spelling}" if is_flag else f"--{spelling}",
        help=text,
        metavar="|".join(allowed) if allowed else None,
        show_default=str(DEFAULTS[name]) if shown is None else shown,
        rich_help_panel="Network",
    )


Layers = Annotated[
    str | None,
    typer.Option(
        "--layers",
        metavar="N,N,...",
        help="Sizes of hidden layers; may be empty.",
        show_default=",".join(map(str, HIDDEN_LAYERS)),
        rich_help_panel="Network",
    ),
]
Steps = Annotated[int | None, field_option("n_steps", "Steps that a sample is shown.", "--steps")]
Rate = Annotated[float | None, field_option("learning_rate", "Rate of gradient descent.", "--rate")]
Timing = Annotated[str | None, field_option("timing", "When spikes travel.")]
EventOrder = Annotated[
    str | None, field_option("event_order", "With --timing event: the order of spikes.")
]
HoldError = Annotated[
    bool | None,
    field_option("hold_error", "With --timing event: errors wait for the end of the step."),
]
InputCoding = Annotated[
    str | None, field_option("input_coding", "Form of the input; data sets are values.")
]
InputScale = Annotated[
    float | None, field_option("input_scale", "Factor for pixels, which are 0 to 1 without it.")
]
Update = Annotated[
    str | None, field_option("update", "Change weights at every step, or once a sample.")
]
Presynaptic = Annotated[
    str | None, field_option("presynaptic", "Learn from spikes, or from the drive of each unit.")
]
Spikes = Annotated[
    str | None, field_option("spikes", "Several spikes of a unit in a step, or one.")
]
Arithmetic = Annotated[
    str | None,
    field_option(
        "arithmetic", "Fixed point, equal on all back ends; floating point; or a chip's numbers."
    ),
]
FractionBits = Annotated[
    int | None,
    field_option("fraction_bits", "Bits after the point, 1 to 40.", shown="from the rate"),
]
WeightExponent = Annotated[
    int | None,
    field_option(
        "weight_exponent", "With --arithmetic loihi2: of the last bit of weights.", shown="-9"
    ),
]
BackwardInit = Annotated[
    str | None, field_option("backward_init", "Backward potentials at the start of a sample.")
]
Feedback = Annotated[
    str | None, field_option("feedback", "Errors return through the weights, or random ones.")
]
Seed = Annotated[
    int | None, field_option("seed", "Seed of initial weights, and of the order of samples.")
]

DatasetName = Annotated[
    str,
    typer.Option("--dataset", metavar="|".join(DATASET_NAMES), help="Data set of images."),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--folder", help=f"Folder that holds the data set's files; else ${FOLDER_VARIABLE}."
    ),
]
BackendName = Annotated[
    str,
    typer.Option(
        "--backend", help="Back end, with options behind a colon; see `spikebp backends`."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def hidden_sizes(text: str) -> tuple[int, ...]:
    """Return the sizes of hidden layers from the text of an option."""
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        allowed = "sizes of hidden layers, positive integers separated by commas"
        raise wrong_argument("layers", allowed, repr(text))
    return tuple(int(part) for part in parts)


def load_images(name: str, folder: Path | None, net: SpikingMLP | None = None) -> Dataset:
    """Return a data set with pixels in the range that a network was made for.

    Pixels stay 8-bit, except for a network with ``input_scale=1.0``, which was made for pixels
    from 0 to 1.
    """
    name = choice("dataset", name, DATASET_NAMES)
    is_made_for_unit_pixels = net is not None and net.input_scale == 1.0
    return load_dataset(name, folder=folder, raw=not is_made_for_unit_pixels)


def check_takes_images(net: SpikingMLP) -> None:
    """Raise ValueError if a network does not take the values that an image has."""
    if net.input_coding != "values":
        raise ValueError(
            f"input_coding={net.input_coding!r} needs spikes as input, but the pixels of image "
            "data sets are values"
        )


def check_fits(net: SpikingMLP, data: Dataset) -> None:
    """Raise ValueError if a trained network is not one for the images of a data set."""
    check_takes_images(net)
    n_inputs = data.x_test.shape[1]
    if (net.n_inputs, net.n_outputs) != (n_inputs, data.n_classes):
        raise wrong_argument(
            "dataset",
            f"one with {net.n_inputs} inputs and {net.n_outputs} classes, as the checkpoint has",
            f"{data.name!r} with {n_inputs} and {data.n_classes}",
        )
