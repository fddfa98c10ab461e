"""Options that commands share, and the checks of their values."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Container, Iterable
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from spikebp_plugins.common.errors import choice, wrong_argument
from spikebp_plugins.data.images import DATASET_NAMES, FOLDER_VARIABLE, Dataset, load_dataset
from spikebp_plugins.network.defaults import FRACTIONAL, NORMALIZED
from spikebp_plugins.network.definition import SpikingMLP, SpikingNetwork
from spikebp_plugins.network.fields import (
    CHOICES,
    LOIHI2_WEIGHT_EXPONENT,
    Definition,
)

#: The key under which a context's `meta` holds the arguments that the program was called with.
ARGUMENTS: Final = "spikebp_plugins.arguments"

#: The help of the fields of the definition.
HELP: Final = {
    "n_steps": "Steps that a sample is shown.",
    "spikes_per_unit": "Spikes that stand for 1, a power of two.",
    "learning_rate": "Rate of gradient descent.",
    "timing": "When spikes travel.",
    "input_coding": "Form of the input; data sets are values.",
    "input_scale": "Factor for pixels, which are 0 to 1 without it.",
    "update": "Change weights at every step, or once a sample.",
    "presynaptic": "Learn from spikes, or from the drive of each unit.",
    "spikes": "Several spikes of a unit in a step, or one.",
    "arithmetic": "Fixed point, or a chip's numbers.",
    "fraction_bits": "Bits after the point, 1 to 40.",
    "weight_exponent": "With --arithmetic loihi2: of the last bit of weights.",
    "backward_init": "Backward potentials at the start of a sample.",
    "feedback": "Errors return through the weights, or random ones.",
    "weight_init": "Initial weights: 0.01, by the inputs of a unit, outputs of 0, or to grow.",
    "label_targets": "Spikes a step asked of wrong outputs, and of the right one.",
    "seed": "Seed of initial weights, and of the order of samples.",
}

#: Options with a shorter name in addition to that of the field.
SPELLINGS: Final = {
    "n_steps": ("--steps", "--n-steps"),
    "learning_rate": ("--rate", "--learning-rate"),
}

#: The default in the help of fields whose default follows from other fields.
SETTLED: Final = NORMALIZED._asdict() | {
    "learning_rate": f"{NORMALIZED.learning_rate}; "
    f"1/{1 / FRACTIONAL.learning_rate:.0f} with --update fractional",
    "fraction_bits": "from the rate",
    "weight_exponent": LOIHI2_WEIGHT_EXPONENT,
    "label_targets": "{:g} {:g}".format(*NORMALIZED.label_targets),
}


def network_options(
    *, without: Container[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each field of the definition.

    Parameters
    ----------
    without : container of str
        Fields that the command does not take.

    Returns
    -------
    callable
        Decorator of a command, whose parameter `given` receives the values that were given, by the
        names of fields.
    """
    options = [
        _option(field)
        for name, field in signature(SpikingMLP, eval_str=True).parameters.items()
        if name != "layer_sizes" and name not in without
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_options(**arguments: Any) -> None:
            values = {option.name: arguments.pop(option.name) for option in options}
            given = {name: value for name, value in values.items() if value is not None}
            command(**arguments, given=given)

        own = signature(command, eval_str=True)
        kept = [parameter for name, parameter in own.parameters.items() if name != "given"]
        # Typer makes the options of a command from its signature.
        parameters = [*kept, *options]
        with_options.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        return with_options

    return decorate


def _option(field: Parameter) -> Parameter:
    allowed = CHOICES.get(field.name)
    shown = SETTLED.get(field.name, field.default)
    option = typer.Option(
        *SPELLINGS.get(field.name, ()),
        help=HELP.get(field.name),
        metavar="|".join(allowed) if allowed else None,
        show_default=shown is not None and str(shown),
        rich_help_panel="Network",
    )
    return field.replace(default=None, annotation=Annotated[field.annotation | None, option])


DatasetName = Annotated[
    str, typer.Option(metavar="|".join(DATASET_NAMES), help="Data set of images.")
]
#: The same of a command that takes tables too.
OtherDatasetName = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(DATASET_NAMES), help="Data set of images.", show_default="digits"
    ),
]
TablePath = Annotated[
    Path | None,
    typer.Argument(help="A table as CSV with a header, also packed by gzip, instead of images."),
]
Folder = Annotated[
    Path | None,
    typer.Option(help=f"Folder that holds the data set's files; else ${FOLDER_VARIABLE}."),
]
BackendName = Annotated[
    str | None,
    typer.Option(
        help="Back end, with options behind a colon; see `spikebp backends`.",
        show_default="compiled",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on stdout; null is a number not finite."),
]


def _of_table(text: str, **how: Any) -> Any:
    """Return an option of tables, with its help."""
    return typer.Option(help=text, rich_help_panel="Table", **how)


Target = Annotated[str | None, _of_table("The column to learn.", metavar="COLUMN")]
Categories = Annotated[
    str,
    _of_table(
        "Columns whose numbers are names, as those of the target may be.",
        metavar="COLUMN,...",
        show_default=False,
    ),
]
Without = Annotated[
    str, _of_table("Columns to leave out.", metavar="COLUMN,...", show_default=False)
]
HeldOut = Annotated[
    float, _of_table("The share of rows that is not learned, and says how well the rest was.")
]


def column_names(text: str) -> tuple[str, ...]:
    """Return the names of columns in the text of an option."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def check_left_out(when: str, **others: object) -> None:
    """Raise ValueError if an option was given that another one excludes.

    Parameters
    ----------
    when : str
        Says with which it is to be left out.
    **others
        The options by their names; None, False or an empty text for those that were not given.
    """
    names = [name.replace("_", "-") for name, value in others.items() if value]
    if names:
        raise wrong_argument(names[0], f"left out {when}", repr(others[names[0].replace("-", "_")]))


def check_beside_checkpoint(given: Iterable[str], **others: object) -> None:
    """Raise ValueError if options of the network were given with a checkpoint, which has them.

    Parameters
    ----------
    given : iterable of str
        The names of those that were given.
    **others
        Further options by their names; None for those that were not given.
    """
    names = [*(name for name, value in others.items() if value is not None), *given]
    if names:
        raise wrong_argument(
            "options of the network", "left out with a checkpoint", ", ".join(names)
        )


def check_memory(net: Definition) -> None:
    """Raise ValueError if the weights of a network alone need more memory than the machine has."""
    if not hasattr(os, "sysconf"):  # on Windows
        return
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = sum(math.prod(shape) for shape in net.weight_shapes) * np.dtype(np.float64).itemsize
    if needed > there:
        layers = "-".join(map(str, net.layer_sizes))
        raise wrong_argument(
            "layers",
            f"such that weights fit into the memory of {there / 1e9:,.0f} GB",
            f"{layers}, whose weights take {needed / 1e9:,.0f} GB",
        )


def load_images(name: str, folder: Path | None, net: Definition | None = None) -> Dataset:
    """Return a data set with pixels in the range that a network was made for.

    Pixels stay 8-bit, except for a network with ``input_scale=1.0``, which was made for pixels
    from 0 to 1.
    """
    name = choice("dataset", name, DATASET_NAMES)
    is_made_for_unit_pixels = net is not None and net.input_scale == 1.0
    return load_dataset(name, folder=folder, raw=not is_made_for_unit_pixels)


def check_takes_images(net: Definition) -> None:
    """Raise ValueError if a network does not take the values that an image has."""
    if net.input_coding != "values":
        raise ValueError(
            f"input_coding={net.input_coding!r} needs spikes as input, but the pixels of image "
            "data sets are values"
        )


def check_fits(net: Definition, data: Dataset) -> None:
    """Raise ValueError if a trained network is not one for the images of a data set."""
    check_takes_images(net)
    n_inputs = data.x_test.shape[1]
    if (net.n_inputs, net.n_outputs) != (n_inputs, data.n_classes):
        raise wrong_argument(
            "dataset",
            f"one with {net.n_inputs} inputs and {net.n_outputs} classes, as the checkpoint has",
            f"{data.name!r} with {n_inputs} and {data.n_classes}",
        )
    if isinstance(net, SpikingNetwork) and not _takes_pixels_of(net.input_shape, data.image_shape):
        raise wrong_argument(
            "dataset",
            f"one with images of shape {net.input_shape}, as the checkpoint has",
            f"{data.name!r} with {data.image_shape}",
        )


def _takes_pixels_of(input_shape: tuple[int, ...], image_shape: tuple[int, int]) -> bool:
    """Return whether a network of this input shape reads images of a shape as images or vectors."""
    return len(input_shape) == 1 or input_shape[:2] == image_shape
