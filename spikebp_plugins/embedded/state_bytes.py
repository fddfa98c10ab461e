"""The state of a network in C, as the bytes that its program writes and reads.

They are, one after the other and all numbers little-endian:

========================  =====================================================================
4 bytes                   the letters ``SBPC``
4 bytes                   the version of the format (1), the bytes of a weight, those of a
                          potential, and those of a feature, or 0
4 bytes                   the key of the network, which is the same at any learning rate
8 bytes                   training samples seen
weights                   of all connections, in units of 2^-f
backward potentials       of layers 1..L-1, in units of 2^-f
features                  if it takes any: what is known of each and of the lengths of rows, how far
                          scaling and the rate are, and the block that has not ended
4 bytes                   the CRC-32 of all bytes before
========================  =====================================================================
"""

from __future__ import annotations

import struct
import zlib
from itertools import accumulate, pairwise
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.embedded.learned_in_c import learned_in_c
from spikebp_plugins.embedded.network_in_c import CHECKSUM_BYTES, NetworkInC
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.state import LearningState, OnGrid, narrowed

Learned = TypeVar("Learned")

#: Letters, version, bytes of a weight, a potential and a feature, key, and samples seen.
HEADER: Final = struct.Struct("<4sBBBBIQ")
LETTERS: Final = b"SBPC"
VERSION: Final = 1


def to_state_bytes(
    learned: Any,
    weight_bits: int | None = None,
    feature_bits: int = 32,
    unit: float = 1.0,
) -> bytes:
    """Return what was learned as bytes that its program in C reads.

    Parameters
    ----------
    learned : Checkpoint or SpikingMLPClassifier
        The network, and what it has learned.
    weight_bits : {16, 32, 64} or None, default=None
        Bits of a weight of the program; None takes those that `to_c` would take now.
    feature_bits, unit
        Those of the program, as for `to_c`.

    Raises
    ------
    ValueError
        If `weight_bits` is not allowed.
    UnsupportedError
        If there is no program in C for the network.
    OverflowError
        If a number does not fit its type.
    """
    parts = learned_in_c(learned, feature_bits, unit)
    network = NetworkInC.holding(parts.checkpoint, weight_bits, features=parts.features)
    return bytes_of(network, parts.checkpoint.state)


def from_state_bytes(data: bytes, learned: Learned, unit: float = 1.0) -> Learned:
    """Return the checkpoint or the classifier for the state that a program in C has written.

    It goes on where the program is. The probabilities of a classifier stay those of before.

    Parameters
    ----------
    data : bytes
        The bytes that the program wrote.
    learned : Checkpoint or SpikingMLPClassifier
        What the program was made from: it has the definition, and the random feedback.
    unit : float, default=1.0
        That of the program, as for `to_c`.

    Raises
    ------
    ValueError
        If the bytes are damaged, or of another network.
    """
    start = data[: HEADER.size]
    if len(start) < HEADER.size or not start.startswith(LETTERS):
        raise wrong_argument("data", "the state of a network in C", f"{len(data)} other bytes")
    _, version, weight_bytes, state_bytes, feature_bytes, key, _ = HEADER.unpack(start)
    if version != VERSION:
        raise wrong_argument("data", f"in version {VERSION} of the format", f"version {version}")
    if bool(feature_bytes) != (not isinstance(learned, Checkpoint)):
        kinds = "a Checkpoint", "a classifier, whose program takes features"
        allowed, given = kinds[feature_bytes > 0], kinds[feature_bytes == 0]
        raise wrong_argument("learned", f"{allowed}, as the state is of one", given)
    parts = learned_in_c(learned, 8 * feature_bytes or 32, unit)
    network = NetworkInC.of(parts.checkpoint.net, 8 * weight_bytes, features=parts.features)
    if len(data) != network.state_size or state_bytes * 8 != network.types.state_bits:
        raise wrong_argument("data", f"{network.state_size} bytes long", f"{len(data)} bytes")
    if key != network.key:
        raise wrong_argument("data", "the state of this network", "that of another")
    if zlib.crc32(data[:-CHECKSUM_BYTES]) != int.from_bytes(data[-CHECKSUM_BYTES:], "little"):
        raise wrong_argument("data", "undamaged", "bytes with another checksum")
    state = state_of(network, data, parts.checkpoint.state)
    known = () if (features := parts.features) is None else features.parts_of(data, CHECKSUM_BYTES)
    after: Learned = parts.after(state, *known)
    return after


def bytes_of(network: NetworkInC, state: LearningState) -> bytes:
    """Return a state that fits the types of a network as bytes."""
    types, features = network.types, network.features
    of_features = 0 if features is None else features.bits // 8
    sizes = types.weight_bits // 8, types.state_bits // 8, of_features
    start = HEADER.pack(LETTERS, VERSION, *sizes, network.key, state.samples_seen)
    weights = network.weights(state).astype(f"<i{sizes[0]}").tobytes()
    potentials = network.backward_potentials(state).astype(f"<i{sizes[1]}").tobytes()
    data = start + weights + potentials + (b"" if features is None else features.to_bytes())
    return data + zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "little")


def state_of(network: NetworkInC, data: bytes, before: LearningState) -> LearningState:
    """Return the state that bytes of a network hold, with the feedback of an earlier one."""
    net, types = network.net, network.types
    samples_seen = HEADER.unpack(data[: HEADER.size])[-1]
    weights = np.frombuffer(data, f"<i{types.weight_bits // 8}", network.n_weights, HEADER.size)
    place = HEADER.size + weights.nbytes
    potentials = np.frombuffer(data, f"<i{types.state_bits // 8}", network.n_hidden, place)

    def parts(numbers: NDArray[Any], shapes: Any) -> OnGrid:
        ends = accumulate((int(np.prod(shape)) for shape in shapes), initial=0)
        bounds = zip(pairwise(ends), shapes, strict=True)
        units = (narrowed(numbers[start:stop].reshape(shape)) for (start, stop), shape in bounds)
        return OnGrid(units, -network.fraction_bits)

    return LearningState(
        weights=parts(weights, net.weight_shapes),
        backward_potentials=parts(potentials, [(n,) for n in net.layer_sizes[1:-1]]),
        feedback=before.feedback,
        samples_seen=samples_seen,
    )
