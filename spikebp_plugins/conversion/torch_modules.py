"""Reads the layers of a Sequential of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import numpy as np

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.conversion.layers import AffineLayer, UnitScaling, given_layer

ALLOWED: Final = (
    "Linear, Conv2d, AvgPool2d, ReLU, BatchNorm1d, BatchNorm2d, Flatten, Dropout, Dropout2d, "
    "Identity, a last Softmax or LogSoftmax, or a Sequential of these"
)


def layers_of_modules(model: Any) -> list[AffineLayer]:
    """Return the layers of a Sequential; raise ValueError for a module that is no part of them."""
    reader = ModuleReader()
    read_modules(model, reader)
    return reader.layers


def read_modules(model: Any, reader: ModuleReader) -> None:
    """Give each module of a Sequential to the method of a reader that is for its kind."""
    nn = import_module("torch.nn")
    # A class derived from a module may compute anything: only the module's own class is accepted.
    readers = {
        nn.Linear: reader.linear,
        nn.Conv2d: reader.convolution,
        nn.AvgPool2d: reader.pool,
        nn.ReLU: reader.relu,
        nn.BatchNorm1d: reader.batch_norm,
        nn.BatchNorm2d: reader.batch_norm_of_channels,
        nn.Dropout: reader.dropout,
        nn.Dropout2d: reader.dropout,
        nn.Flatten: reader.flatten,
        nn.Identity: reader.identity,
        nn.Softmax: reader.softmax,
        nn.LogSoftmax: reader.softmax,
    }
    for place, module in _modules(model, nn.Sequential):
        kind = type(module)
        if kind not in readers:
            raise wrong_argument(f"module {place} of source", ALLOWED, kind.__name__)
        if reader.last is not None and kind is not nn.Identity:
            allowed = f"left out behind {reader.last}"
            raise wrong_argument(f"module {place} of source", allowed, kind.__name__)
        readers[kind](place, module)
    if reader.waiting is not None and reader.layers:
        allowed = "before a Linear, or behind one without a ReLU in between"
        raise wrong_argument("a BatchNorm1d of source", allowed, "one behind the last ReLU")


class ModuleReader:
    """Reads modules one after the other into layers, for samples that are plain vectors."""

    def __init__(self) -> None:
        self.layers: list[AffineLayer] = []
        self.is_rectified = True  # the units that the next Linear reads
        self.waiting: UnitScaling | None = None  # what scales these units
        self.unrectified = "a Linear"  # what has made units that are not rectified
        self.last: str | None = None  # a module behind which none may follow

    def linear(self, place: str, module: Any) -> None:
        """Add a layer of weights."""
        self.require_rectified(place, "Linear")
        layer = given_layer(
            values_of(module.weight).T,
            None if module.bias is None else values_of(module.bias),
            len(self.layers) + 1,
        )
        if self.waiting is not None:
            _check_size(place, module.in_features, self.waiting)
            layer, self.waiting = self.waiting.before(layer), None
        self.layers.append(layer)
        self.is_rectified = False

    def convolution(self, place: str, module: Any) -> None:
        """Refuse a Conv2d: these samples are no images."""
        allowed = f"(height, width) or (height, width, channels), for module {place} of source"
        raise wrong_argument("input_shape", allowed, None)

    def pool(self, place: str, module: Any) -> None:
        """Refuse an AvgPool2d: these samples are no images."""
        self.convolution(place, module)

    def batch_norm_of_channels(self, place: str, module: Any) -> None:
        """Refuse a BatchNorm2d: these samples are no images."""
        self.convolution(place, module)

    def relu(self, place: str, module: Any) -> None:
        """Note that the units of the last layer are rectified."""
        if not self.layers or self.waiting is not None:
            raise wrong_argument(f"module {place} of source", "a Linear before a ReLU", "ReLU")
        self.is_rectified = True

    def batch_norm(self, place: str, module: Any) -> None:
        """Make a BatchNorm1d a part of the Linear before it, or of the one to come."""
        scaling = scaling_of_batch_norm(place, module)
        if not self.is_rectified:
            _check_size(place, self.layers[-1].weights.shape[1], scaling)
            self.layers[-1] = scaling.behind(self.layers[-1])
        elif self.waiting is None:
            self.waiting = scaling
        else:
            allowed = "a Linear between two BatchNorm1d"
            raise wrong_argument(f"module {place} of source", allowed, "BatchNorm1d")

    def dropout(self, place: str, module: Any) -> None:
        """Check that a Dropout does nothing."""
        if module.training:
            allowed = "in evaluation mode: call source.eval()"
            name = f"{type(module).__name__} {place} of source"
            raise wrong_argument(name, allowed, "training mode")

    def flatten(self, place: str, module: Any) -> None:
        """Check that a Flatten leaves samples apart."""
        if (module.start_dim, module.end_dim) != (1, -1):
            allowed = "over all dimensions but the first"
            raise wrong_argument(f"Flatten {place} of source", allowed, module)

    def identity(self, place: str, module: Any) -> None:
        """Ignore an Identity."""

    def softmax(self, place: str, module: Any) -> None:
        """Note that nothing may follow."""
        # It leaves the order of the scores as it is, if it is over the outputs of a sample.
        if not self.layers or self.is_rectified or module.dim not in (None, 1, -1):
            allowed = "over dimension 1, behind the last Linear"
            raise wrong_argument(f"{type(module).__name__} {place} of source", allowed, module)
        self.last = type(module).__name__

    def require_rectified(self, place: str, kind: str) -> None:
        """Raise an error about a module of a kind unless the units before it are rectified."""
        if not self.is_rectified:
            allowed = f"a ReLU after {self.unrectified}"
            raise wrong_argument(f"module {place} of source", allowed, kind)


def scaling_of_batch_norm(place: str, module: Any) -> UnitScaling:
    """Return the scaling that a BatchNorm applies to its units, or channels."""
    if module.training or module.running_mean is None:
        allowed = "in evaluation mode, with the statistics of training: call source.eval()"
        came = "training mode" if module.training else "none of them"
        raise wrong_argument(f"{type(module).__name__} {place} of source", allowed, came)
    factor = 1 / np.sqrt(values_of(module.running_var) + module.eps)
    if module.affine:
        factor = factor * values_of(module.weight)
    shift = -values_of(module.running_mean) * factor
    if module.affine:
        shift = shift + values_of(module.bias)
    return UnitScaling(factor, shift)


def _check_size(place: str, n: int, scaling: UnitScaling) -> None:
    if scaling.factor.shape != (n,):
        allowed = f"of {n} units, as the BatchNorm1d next to it"
        raise wrong_argument(f"module {place} of source", allowed, scaling.factor.shape)


def values_of(parameter: Any) -> Any:
    """Return the numbers of a parameter, in double precision."""
    return parameter.detach().cpu().double().numpy()


def _modules(model: Any, sequential: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, module in model.named_children():
        place = prefix + name
        if type(module) is sequential:
            yield from _modules(module, sequential, f"{place}.")
        else:
            yield place, module
