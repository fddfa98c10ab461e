"""Reads the layers of a Sequential of PyTorch for images: what Conv2d and AvgPool2d are here."""

from __future__ import annotations

from typing import Any

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.conversion.layers import AffineLayer, given_kernel, without_weights
from spikebp_plugins.conversion.torch_modules import (
    ModuleReader,
    read_modules,
    scaling_of_batch_norm,
    values_of,
)
from spikebp_plugins.network import connections
from spikebp_plugins.network.channels_first import (
    has_same_order,
    is_image,
    kernel_from,
    one_number,
    rows_from,
)
from spikebp_plugins.network.connections import AveragePool2D, Conv2D, Dense, Shape
from spikebp_plugins.network.definition import SpikingNetwork


def layers_of_images(model: Any, image: Shape) -> tuple[list[AffineLayer], SpikingNetwork]:
    """Return the layers of a Sequential, and a definition with their connections.

    Parameters
    ----------
    model : torch.nn.Sequential
        The network.
    image : Shape
        The shape of its input.

    Raises
    ------
    ValueError
        If a module is no part of a network here.
    """
    reader = _ImageReader(image)
    read_modules(model, reader)
    if not reader.layers:
        raise wrong_argument("source", "a network of at least one layer", "none")
    if reader.is_flat and not has_same_order(reader.shape):
        allowed = "left out, where the units of an image have another order here"
        raise wrong_argument("a last Flatten of source", allowed, f"one of {reader.shape.sizes}")
    layout = "channels_first" if image.channels_first else "channels_last"
    return reader.layers, SpikingNetwork(image.sizes, reader.above, input_layout=layout)


class _ImageReader(ModuleReader):
    """Reads modules one after the other into layers, for samples that are images."""

    def __init__(self, image: Shape) -> None:
        super().__init__()
        self.shape = image
        self.above: list[connections.Layer] = []  # the layers of a definition
        self.is_flat = not is_image(image)

    def linear(self, place: str, module: Any) -> None:
        """Add a layer of weights, whose rows get the order of units here."""
        if not self.is_flat:
            raise wrong_argument(f"module {place} of source", "a Flatten before a Linear", "Linear")
        if module.in_features != self.shape.size:
            allowed = f"a Linear of {self.shape.size} features, the units before it"
            raise wrong_argument(f"module {place} of source", allowed, module.in_features)
        super().linear(place, module)
        W, b = self.layers[-1]
        self.layers[-1] = AffineLayer(rows_from(W, self.shape), b)
        self._go_on(place, Dense(module.out_features))
        self.unrectified = "a Linear"

    def convolution(self, place: str, module: Any) -> None:
        """Add a layer with a kernel of weights."""
        self._require_image(place, module)
        self.require_rectified(place, "Conv2d")
        layer = _convolution_of(place, module)
        channels = self.shape.pixels("Conv2D").shape[2]
        if module.in_channels != channels:
            allowed = (
                f"a Conv2d from {channels} channels (input_shape is (height, width, channels))"
            )
            raise wrong_argument(f"module {place} of source", allowed, module.in_channels)
        bias = None if module.bias is None else values_of(module.bias)
        kernel = kernel_from(values_of(module.weight))
        self._go_on(place, layer)
        self.layers.append(given_kernel(kernel, bias, len(self.layers) + 1))
        self.is_rectified = False
        self.unrectified = "a Conv2d"

    def pool(self, place: str, module: Any) -> None:
        """Add a layer of pools."""
        self._require_image(place, module)
        self.require_rectified(place, "AvgPool2d")
        # The units of a pool are rectified. That changes nothing if all units below are rectified,
        # but the input may be negative.
        self.is_rectified = bool(self.layers)
        self._go_on(place, _pool_of(place, module))
        self.layers.append(without_weights())
        self.unrectified = "an AvgPool2d of the input"

    def batch_norm(self, place: str, module: Any) -> None:
        """Make a BatchNorm1d a part of a Linear, not of an image."""
        # It scales each unit for itself, but the units of an image share their weights.
        if not self.is_flat or (not self.is_rectified and not isinstance(self.above[-1], Dense)):
            allowed = "next to a Linear behind a Flatten"
            raise wrong_argument(f"BatchNorm1d {place} of source", allowed, "one of an image")
        super().batch_norm(place, module)

    def batch_norm_of_channels(self, place: str, module: Any) -> None:
        """Make a BatchNorm2d a part of the Conv2d before it."""
        if self.is_flat or self.is_rectified or not isinstance(self.above[-1], Conv2D):
            allowed = "behind a Conv2d without a ReLU in between"
            raise wrong_argument(f"BatchNorm2d {place} of source", allowed, "one elsewhere")
        scaling = scaling_of_batch_norm(place, module)
        if len(scaling.factor) != self.above[-1].channels:
            allowed = f"of {self.above[-1].channels} channels, as the Conv2d before it"
            raise wrong_argument(f"module {place} of source", allowed, len(scaling.factor))
        self.layers[-1] = scaling.behind(self.layers[-1])

    def flatten(self, place: str, module: Any) -> None:
        """Note that a Linear may follow."""
        super().flatten(place, module)
        self.is_flat = True

    def softmax(self, place: str, module: Any) -> None:
        """Note that nothing may follow the scores."""
        if not self.is_flat:
            allowed = "behind a Flatten"
            raise wrong_argument(f"{type(module).__name__} {place} of source", allowed, module)
        super().softmax(place, module)

    def _go_on(self, place: str, layer: connections.Layer) -> None:
        try:
            self.shape = layer.above(self.shape)
        except ValueError as error:
            allowed = "one that fits the layer before"
            raise wrong_argument(f"module {place} of source", allowed, error) from None
        self.above.append(layer)

    def _require_image(self, place: str, module: Any) -> None:
        if self.is_flat:
            kind = type(module).__name__
            raise wrong_argument(f"module {place} of source", "one for plain vectors", kind)


def _convolution_of(place: str, module: Any) -> Conv2D:
    _check(place, module, groups=1, dilation=(1, 1), padding_mode="zeros")
    size = _number(place, module, "kernel_size")
    return Conv2D(
        channels=module.out_channels,
        kernel_size=size,
        stride=_number(place, module, "stride"),
        padding=_padding(place, module, size),
    )


def _pool_of(place: str, module: Any) -> AveragePool2D:
    _check(place, module, ceil_mode=False, divisor_override=None)
    size = _number(place, module, "kernel_size")
    for name, number, reason in (
        ("stride", size, "the kernel_size, so that pools neither overlap nor leave gaps"),
        ("padding", 0, "for a mean of pixels alone"),
    ):
        if one_number(getattr(module, name)) != number:
            raise _wrong(place, module, name, f"{number}, {reason}")
    return AveragePool2D(size)


def _padding(place: str, module: Any, size: int) -> int:
    if module.padding == "valid":
        return 0
    if module.padding == "same":
        if size % 2 == 0:
            allowed = "a number, or 'same' with an odd kernel_size, for the same on each side"
            raise _wrong(place, module, "padding", allowed)
        return size // 2
    return _number(place, module, "padding")


def _number(place: str, module: Any, name: str) -> int:
    number = one_number(getattr(module, name))
    if number is None:
        raise _wrong(place, module, name, "the same for rows and columns")
    return number


def _check(place: str, module: Any, **allowed: object) -> None:
    for name, value in allowed.items():
        if getattr(module, name) != value:
            raise _wrong(place, module, name, repr(value))


def _wrong(place: str, module: Any, name: str, allowed: str) -> ValueError:
    return wrong_argument(f"{name} of module {place} of source", allowed, getattr(module, name))
