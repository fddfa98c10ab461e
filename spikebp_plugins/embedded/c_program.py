"""A network as one file in C with its header, and a guide to both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from spikebp_plugins.common.archive import PathLike, whole_file
from spikebp_plugins.common.errors import boolean
from spikebp_plugins.embedded.features_in_c import FeaturesInC
from spikebp_plugins.embedded.learned_in_c import learned_in_c
from spikebp_plugins.embedded.network_in_c import NetworkInC
from spikebp_plugins.embedded.sizes import Sizes
from spikebp_plugins.embedded.templates import (
    array_of,
    check_stem,
    defined,
    fill,
    named,
    number,
    wrapped,
)
from spikebp_plugins.network.arithmetic import arithmetic_of, constant_in
from spikebp_plugins.network.state import LearningState
from spikebp_plugins.rules import quantization

#: The type of each kind of input in C.
INPUT_TYPES: Final = {
    "features": "net_feature_t",
    "pixels": "uint8_t",
    "values": "net_state_t",
    "spikes": "net_count_t",
}

#: A loop to copy: it names each sample before it learns from it.
LOOP: Final = """\
void sample_arrived(const TYPE *x, int32_t label)
{
    if (net_predict_KIND(x) == NET_OK)
        show(net_class());
    if (label != NET_NO_LABEL && net_learn_KIND(x, label) != NET_OK)
        show_error();
}"""

#: The section of the guide for a program that evaluates changes alone.
FOLLOWS: Final = """\
## Samples that follow each other

A sample costs what has changed since the one before: only rows of weights of units that send other
counts are read and written. The numbers are the same. `spikebp export-c --no-incremental` leaves
this out, for a smaller program.

"""


@dataclass(frozen=True)
class CFiles:
    """A file in C99, which includes its header and nothing but the standard's own.

    Attributes
    ----------
    stem : str
        The name of both files, and what all public names begin with.
    source, header : str
        The texts of the file and of its header.
    """

    stem: str
    source: str
    header: str

    def _texts(self) -> dict[str, str]:
        """Return the texts of the files, by the ending of each."""
        return {".c": self.source, ".h": self.header}

    def save(self, folder: PathLike) -> list[Path]:
        """Write the files, named by `stem`, and return their paths."""
        texts = self._texts()
        paths = [Path(folder) / f"{self.stem}{ending}" for ending in texts]
        for path, text in zip(paths, texts.values(), strict=True):
            with whole_file(path) as file:
                file.write(text.encode())
        return paths


@dataclass(frozen=True)
class CProgram(CFiles):
    """A network in C99, with a page about it, which `save` writes as ``stem.md``.

    Attributes
    ----------
    guide : str
        The text of the page.
    sizes : Sizes
        Its sizes, in bytes.
    """

    guide: str
    sizes: Sizes

    def _texts(self) -> dict[str, str]:
        return super()._texts() | {".md": self.guide}


def to_c(
    learned: Any,
    weight_bits: int | None = None,
    stem: str = "net",
    incremental: bool = True,
    feature_bits: int = 32,
    unit: float = 1.0,
) -> CProgram:
    """Return a network as a program in C, which goes on learning from where it is.

    It learns the same integers as every back end. A sample after which a number would not fit its
    type is undone, and the program says so. That of a classifier takes features as sensors send
    them: it scales them, follows their statistics and its own errors, and names classes, as
    `partial_fit` and `decision_function` do with the same features.

    Parameters
    ----------
    learned : Checkpoint or SpikingMLPClassifier
        The network, and what it has learned; or a classifier with ``input_scale="auto"``.
    weight_bits : {16, 32, 64} or None, default=None
        Bits of a weight. Potentials have 32 with 16, and otherwise 64. None takes the fewest with
        which all weights may become 16 times as large as the largest is, and 16 at least.
    stem : str, default="net"
        The name of the files, and what all public names begin with: an identifier of C.
    incremental : bool, default=True
        Whether a sample costs what has changed since the one before, where the definition allows
        it: dense connections, one step, immediate timing, and weights of 16 or 32 bits. It learns
        the same integers, and takes about 8 bytes more for each unit above the input.
    feature_bits : {16, 32}, default=32
        Bits of a feature, which is an integer.
    unit : float, default=1.0
        What a feature of 1 stands for in `partial_fit`, a power of two: ``2**-14`` if the sensor
        sends 16,384 for 1. Readings that the classifier keeps must be integers times it.

    Raises
    ------
    ValueError
        If an argument is not allowed.
    UnsupportedError
        If C does not know a part of the definition; the message says which.
    OverflowError
        If a number that was learned does not fit its type.
    """
    check_stem(stem)
    boolean("incremental", incremental)
    parts = learned_in_c(learned, feature_bits, unit)
    network = NetworkInC.holding(parts.checkpoint, weight_bits, incremental, parts.features)
    return program_of(network, parts.checkpoint.state, stem)


def program_of(network: NetworkInC, state: LearningState | None, stem: str = "net") -> CProgram:
    """Return the program of a network; without a state all that is learned begins at zero."""
    constants = network.constants() | network.public_constants()
    parts = {
        "about": f"/* {network.net!r}\n * in C99, written by spikebp-plugins. */",
        "constants": f"{_public_types(network)}\n\n{defined(network.public_constants())}",
        "types": _private_types(network),
        "sizes": defined(network.constants()),
        "first_units": ", ".join(map(str, accumulate(network.net.layer_sizes, initial=0))),
        "connections": "\n    ".join(_connections(network)),
        "key": ", ".join(f"0x{byte:02X}" for byte in network.key.to_bytes(4, "little")),
        "learned": "\n".join(_learned(network, state)),
        "changes": fill("changes.c", {}, constants) if network.keeps_drive else "",
        "features": "",
        "feature_bytes": "0",
    }
    if network.features is not None:
        parts |= _of_features(network.features, constants)
    source = fill("network.c", parts, constants)
    sizes = Sizes.of(network, source)
    parts |= {
        "definition": repr(network.net),
        "memory": "\n".join(f"| {name} | {n:,} |" for name, n in sizes.by_use().items()),
        "program_sizes": wrapped(f"Sizes in bytes: {sizes}", " * "),
        "tables": f"{sizes.tables:,}",
        "code": f"{sizes.code:,}",
        "stack": f"{sizes.stack:,}",
        "kind": _kind(network),
        "loop": _loop(network),
        "follows": FOLLOWS if network.keeps_drive else "",
        "steps": str(network.net.n_steps),
        "state_size": f"{network.state_size:,}",
    }
    header, guide = (fill(f"network.{ending}", parts, constants) for ending in ("h", "md"))
    source, header, guide = (named(text, stem) for text in (source, header, guide))
    return CProgram(stem, source, header, guide, sizes)


def _of_features(features: FeaturesInC, constants: Mapping[str, int]) -> dict[str, str]:
    """Return the parts of a program that takes features."""
    unit = "1" if features.unit == 0 else f"2^{features.unit}"
    return {
        "feature_bits": str(features.bits),
        "feature_bytes": str(features.bits // 8),
        "meanings": features.guide(),
        "unit": unit,
        "in_units": "" if unit == "1" else f", in units of {unit} of what the classifier knew",
        "features": fill("features.c", features.texts(), constants),
    }


def _loop(network: NetworkInC) -> str:
    """Return the example of the guide."""
    kind = _kind(network)
    loop = LOOP.replace("KIND", kind).replace("TYPE", INPUT_TYPES[kind])
    return loop if kind != "features" else loop.replace("net_class()", "net_name(net_class())")


def _kind(network: NetworkInC) -> str:
    """Return the kind of input that the example in the guide shows."""
    if network.features is not None:
        return "features"
    if network.takes_pixels:
        return "pixels"
    return "values" if network.net.input_coding == "values" else "spikes"


def _public_types(network: NetworkInC) -> str:
    types = network.types
    bits = {"weight": types.weight_bits, "state": types.state_bits, "count": types.count_bits}
    return "\n".join(f"typedef int{n}_t net_{name}_t;" for name, n in bits.items())


def _private_types(network: NetworkInC) -> str:
    types = network.types
    bits = {"weight_bits": types.weight_bits, "unit": network.unit_bits}
    if network.keeps_drive:
        bits["state_bits"] = types.state_bits
    return "\n".join(f"typedef uint{n}_t {name}_t;" for name, n in bits.items())


def _connections(network: NetworkInC) -> Iterator[str]:
    """Yield the members of each ``struct connection``."""
    net, sizes = network.net, network.sizes_of_weights
    first_weights = accumulate(sizes, initial=0)
    parts = zip(net.connections, network.geometries, first_weights, strict=False)
    for l, (connection, geometry, first) in enumerate(parts, 1):
        learns = connection.constant_weight is None
        height, width, channels = geometry.above
        rule = net.learning_rule.weights[l - 1]
        members = (
            *geometry.below,
            *geometry.strides,
            width,
            height,
            channels,
            geometry.kernel,
            geometry.stride,
            geometry.padding,
            first,
            # The first connection has no random feedback: no errors go through it.
            max(0, first - sizes[0]) if net.feedback == "random" else first,
            int(learns and geometry.is_dense),
            int(learns),
            0 if learns else int(network.units(constant_in(net, connection))[0]),
            max(1, connection.most_uses),
            rule.rate,
            rule.added_squares,
            *network.held_limit(rule.error_limit),
        )
        yield f"{{ {', '.join(map(number, members))} }},"


def _learned(network: NetworkInC, state: LearningState | None) -> Iterator[str]:
    """Yield the declarations of the learned arrays, and of those that go with them."""
    net = network.net
    if network.takes_pixels:
        yield "/* What a pixel adds to the potential of its unit in a step. */"
        yield array_of("static const net_state_t PIXEL_VALUES[256]", network.pixel_values())
        yield ""
    if network.takes_pixels and network.keeps_drive:
        yield "/* The spikes that a pixel sends in a sample. */"
        values = arithmetic_of(net).decode(network.pixel_values())
        counts, _ = quantization.signed(values, net.spikes == "binary")
        yield array_of("static const net_state_t SPIKES_OF_PIXEL[256]", counts)
        yield ""
    if network.features is not None:
        yield from network.features.declarations()
    else:
        yield "enum { halvings = 0 }; /* of the rate, which stays what it is */"
    yield ""
    yield "/* What has been learned: weights, samples, and what waits to be sent back. */"
    seen = 0 if state is None else state.samples_seen
    weights = () if state is None else network.weights(state)
    potentials = () if state is None else network.backward_potentials(state)
    yield array_of("static net_weight_t weights[WEIGHTS]", weights)
    yield array_of("static net_state_t backward_potential[HIDDEN_UNITS]", potentials)
    yield f"static uint64_t samples_seen = {seen};"
    if net.feedback != "random":
        yield "#define WEIGHTS_BACK weights"
        return
    yield ""
    yield "/* The fixed weights that errors go through. */"
    feedback = () if state is None else network.feedback(state)
    # A state that comes later brings them.
    const = "" if state is None else "const "
    yield array_of(
        f"static {const}net_weight_t WEIGHTS_BACK[{max(1, network.n_feedback)}]", feedback
    )
