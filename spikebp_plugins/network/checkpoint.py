"""Checkpoints: a network's definition and what it has learned, as one small file.

A file is an npz of little-endian arrays, which are compressed, in this order:

=======================  =======================================================================
``format_version``       int64, 2
``definition``           uint8, ``net.to_dict()`` as UTF-8 JSON with sorted keys
``samples_seen``         int64, training samples so far
``weights_l``            l = 1..L, shape (n_{l-1}, n_l), or that of the connection
``backward_potential_l`` l = 1..L-1, shape (n_l,)
``feedback_l``           l = 2..L, shape (n_l, n_{l-1}), or that of the connection, only with
                         ``feedback="random"``
``input_is_scaled``      bool, true; only if an estimator scales features to the input
``replay``               int64, shape (4,): capacity, n_replayed, seed and n_seen of a replay
                         buffer, if there is one
``replay_x``             the samples that it keeps, in the type in which they came; left out, like
                         ``replay_y``, before the first
``replay_begin``,        int64 and int32; only of rows of a sparse matrix: where the list of each,
``replay_unit``          or of each of its steps, begins, with the end of the last, and the units
                         whose numbers ``replay_x`` holds
``replay_y``             their labels (int64) or targets
``encoder_settings``     uint8, the arguments of a window encoder as JSON, if there is one
``encoder_low``,         float64, its range
``encoder_high``
``encoder_to_learn``     float64, the readings that are to tell it
``encoder_codes``        uint8, the last readings, ``encoder_levels`` (left out before the first)
                         their levels
``encoder_n_missing``    int64, the readings until the next window
``estimator``, and       what an estimator has besides its network, in a file that it has saved
``estimator_...``
=======================  =======================================================================

Matrices and potentials are integers, each array in the smallest of int8 to int64 that holds it:
in units of 2^-f, and weights of a chip in units of 2^g. No array depends on time, machine or back
end; of equal states a machine makes equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import (
    FileLike,
    check_version,
    equal_arrays,
    name_of,
    read_archive,
    scalar,
    unreadable,
    write_archive,
)
from spikebp_plugins.common.errors import REALS, integer, wrong_argument
from spikebp_plugins.data.windows import WindowEncoder
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.definition import definition_from_dict, require_definition
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.replay import MOST_SAMPLES, ReplayBuffer
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.network.sparse_rows import SparseRows, is_sparse, rows_of_matrix
from spikebp_plugins.network.state import (
    DrawnWeights,
    LearningState,
    OnGrid,
    initial_state,
    narrowed,
)

if TYPE_CHECKING:
    from spikebp_plugins.simulation.simulator import Simulator

FORMAT_VERSION: Final = 2

#: So many weights, which are below 2^53, can be summed in 64 bits.
MOST_SUMMED: Final = 512

#: The names of an encoder's arrays begin with this.
OF_ENCODER: Final = "encoder_"

#: The text of an estimator has this name, and those of its other arrays begin with it.
OF_ESTIMATOR: Final = "estimator"

#: The text of a run in rounds has this name, and those of its other arrays begin with it.
OF_ROUNDS: Final = "rounds"


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint:
    """A network and what it has learned, from which any back end can continue.

    Two are equal (``==``) if their definitions are, and every number that was learned.

    Attributes
    ----------
    net : Definition
        The definition.
    state : LearningState
        Weights, backward potentials, feedback weights and samples seen.
    replay : ReplayBuffer or None, default=None
        Samples that the network learns again, to be handed to ``Simulator.train``.
    encoder : WindowEncoder or None, default=None
        The encoder of the network's stream, to be handed to ``Simulator.stream``, which goes on
        with the next reading.
    input_is_scaled : bool, default=False
        Whether an estimator scales features to the input. A program in C does not, and refuses.
    """

    net: Definition
    state: LearningState
    replay: ReplayBuffer | None = None
    encoder: WindowEncoder | None = None
    input_is_scaled: bool = False

    def __post_init__(self) -> None:
        if not all(isinstance(part, OnGrid) for part in self.state[:3]):
            allowed = "a LearningState, whose numbers are OnGrid (with_reals replaces some)"
            raise wrong_argument("state", allowed, "other arrays")

    @staticmethod
    def load(path: FileLike, net: Definition | None = None) -> Checkpoint:
        """Read a checkpoint.

        Parameters
        ----------
        path : str, path-like or file object
            A file written by ``Simulator.save``, ``Checkpoint.save`` or ``save`` of an estimator,
            whose ``checkpoint_`` it returns then; of a file object, such as a pipe, all is read
            that is left.
        net : Definition or None, default=None
            The definition that the checkpoint must have.

        Returns
        -------
        Checkpoint

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is no checkpoint, damaged, of a newer format, or of another definition.
        """
        checkpoint = from_arrays(name_of(path), read_archive(path, "checkpoint"))
        if net is not None and checkpoint.net != net:
            changes = differences(checkpoint.net, net)
            raise ValueError(f"{name_of(path)} is a checkpoint of another definition: {changes}")
        return checkpoint

    @staticmethod
    def mean(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
        r"""Return the last of some checkpoints with the mean of the weights of all of them.

        On the grid, in units of 2^-f, :math:`W = \mathrm{rint}(\tfrac{1}{n} \sum_i W^{(i)})`, ties
        to even. The mean over the last epochs often has a lower test error than any one of them.

        Parameters
        ----------
        checkpoints : sequence of Checkpoint
            At least one; all with the same layer sizes, arithmetic, fraction bits and exponent of
            weights.

        Returns
        -------
        Checkpoint
            Everything but the weights is that of the last one.

        Raises
        ------
        ValueError
            If there is none, or they differ in one of these.
        """
        if not checkpoints:
            raise wrong_argument("checkpoints", "at least one checkpoint", repr(checkpoints))
        last = checkpoints[-1]
        for name in ("layer_sizes", "arithmetic", "fraction_bits", "weight_exponent"):
            found = {getattr(checkpoint.net, name) for checkpoint in checkpoints}
            if len(found) > 1:
                raise wrong_argument("checkpoints", f"of one {name}", repr(sorted(found, key=repr)))
        if len({checkpoint.net.connections for checkpoint in checkpoints}) > 1:
            raise wrong_argument("checkpoints", "of the same connections", "others")
        stacked = zip(*(checkpoint.state.weights.units for checkpoint in checkpoints), strict=True)
        means = OnGrid(map(_mean, stacked), last.state.weights.exponent)
        return replace(last, state=last.state._replace(weights=means))

    def simulate(self, backend: str | None = None, **options: Any) -> Simulator:
        """Return a simulator that continues exactly where this checkpoint was made.

        Parameters
        ----------
        backend : str or None, default=None
            Name of the back end; None as for a new simulator.
        **options
            Options of the back end.
        """
        from spikebp_plugins.simulation.simulator import Simulator

        return Simulator.from_checkpoint(self, backend, **options)

    def at_rate(self, learning_rate: float) -> Checkpoint:
        """Return a checkpoint that continues from here with another learning rate.

        The grid stays what it is, so that no weight is rounded again: choose ``fraction_bits`` of
        the first definition so that the grid holds the smallest rate to come.

        Parameters
        ----------
        learning_rate : float
            The rate from here on.

        Raises
        ------
        ValueError
            If the rate rounds to zero on the grid.
        """
        return replace(self, net=self.net.at_rate(learning_rate))

    def grown(self, n_inputs: int | None = None, n_outputs: int | None = None) -> Checkpoint:
        """Return a checkpoint that continues from here with more inputs and outputs.

        New units come behind those that are there. They have the weights that a network of this
        size would have had from the start. Up to now it would have learned the same, had the new
        inputs been 0, and had the new outputs been asked for 0 spikes.

        Parameters
        ----------
        n_inputs, n_outputs : int or None, default=None
            The units of the first and of the last layer from here on; None keeps what there is.

        Raises
        ------
        ValueError
            If there would be fewer units than now, or the definition has another `weight_init` than
            "growing", or another arithmetic than "fixed", where more units might change results. Or
            if there is a replay buffer: its samples have as many inputs as they have.
        """
        net = self.net
        if self.replay is not None:
            raise wrong_argument("replay", "None, for a network to grow", repr(self.replay))
        for name, needed in (("weight_init", "growing"), ("arithmetic", "fixed")):
            value = getattr(net, name)
            if value != needed:
                raise wrong_argument(name, f"{needed!r}, for a network to grow", repr(value))
        n_inputs = integer("n_inputs", net.n_inputs if n_inputs is None else n_inputs, net.n_inputs)
        n_outputs = net.n_outputs if n_outputs is None else n_outputs
        n_outputs = integer("n_outputs", n_outputs, net.n_outputs)
        sizes = (n_inputs, *net.layer_sizes[1:-1], n_outputs)
        larger = net.replace(layer_sizes=sizes, fraction_bits=net.fraction_bits)
        weights = DrawnWeights(larger).continued(self.state.weights.rows(), net.n_inputs)
        feedback = initial_state(larger).feedback.copies()
        for matrix, known in zip(feedback, self.state.feedback, strict=True):
            matrix[tuple(map(slice, known.shape))] = known
        state = self.state._replace(weights=weights).with_reals(feedback=feedback)
        return replace(self, net=larger, state=state)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and equal_arrays(to_arrays(self), to_arrays(other))

    def __repr__(self) -> str:
        return f"Checkpoint({self.net!r}, samples_seen={self.state.samples_seen})"

    def save(self, path: FileLike) -> None:
        """Write the checkpoint, whole or not at all.

        Parameters
        ----------
        path : str, path-like or file object
            The file, which is replaced if it exists and keeps its permissions; a link is
            followed, and what is no regular file refused. Or one that is open for writing bytes.
        """
        write_archive(path, to_arrays(self))


def starting_checkpoint(net: Any, weights: Any = None, feedback: Any = None) -> Checkpoint:
    """Return a checkpoint that is given as `net`, or one of a definition without any sample yet."""
    if not isinstance(net, Checkpoint):
        require_definition("net", net, "a Checkpoint")
        return Checkpoint(net, initial_state(net, weights, feedback))
    if weights is not None or feedback is not None:
        raise wrong_argument("weights and feedback", "None with a checkpoint", "matrices")
    return net


def differences(there: Definition, here: Definition) -> str:
    """Return the fields in which two definitions differ, as text."""
    if type(there) is not type(here):
        return f"it is a {type(there).__name__} there and a {type(here).__name__} here"
    return ", ".join(
        f"{name} is {getattr(there, name)!r} there and {value!r} here"
        for name, value in here.field_values().items()
        if getattr(there, name) != value
    )


def to_arrays(checkpoint: Checkpoint) -> dict[str, NDArray[Any]]:
    """Return the arrays of a checkpoint's file, by name and in their order."""
    net, state = checkpoint.net, checkpoint.state
    definition = json.dumps(net.to_dict(), sort_keys=True).encode()
    arrays: dict[str, NDArray[Any]] = {
        "format_version": np.array(FORMAT_VERSION, np.int64),
        "definition": np.frombuffer(definition, np.uint8),
        "samples_seen": np.array(state.samples_seen, np.int64),
    }
    units = chain.from_iterable(numbers.units for numbers in state[:3])
    learned = (narrowed(array, copy=False) for array in units)
    arrays |= dict(zip((name for name, _ in _expected(net)), learned, strict=True))
    if checkpoint.input_is_scaled:
        arrays["input_is_scaled"] = np.array(True)
    if checkpoint.replay is not None:
        arrays |= _arrays_of(checkpoint.replay, net.n_inputs)
    if checkpoint.encoder is not None:
        given = checkpoint.encoder.to_arrays()
        arrays |= {f"{OF_ENCODER}{name}": array for name, array in given.items()}
    return arrays


def _arrays_of(replay: ReplayBuffer, n_inputs: int) -> dict[str, NDArray[Any]]:
    replay = replay.copy()  # so that no other thread adds samples
    settings = (replay.capacity, replay.n_replayed, replay.seed, replay.n_seen)
    arrays: dict[str, NDArray[Any]] = {"replay": np.array(settings, np.int64)}
    x, y = replay.x, replay.y
    if x is None or y is None:
        return arrays
    if is_sparse(x):
        rows = rows_of_matrix("replay_x", x).by_step(n_inputs)
        arrays |= {"replay_begin": rows.begin, "replay_unit": rows.unit}
        x = rows.number
    return arrays | {"replay_x": x, "replay_y": y}


def from_arrays(path: str, arrays: Mapping[str, NDArray[Any]]) -> Checkpoint:
    """Return the checkpoint that arrays of a file hold.

    Raises
    ------
    ValueError
        If the arrays are not those of a checkpoint; the message begins with `path`.
    """
    refuse = partial(unreadable, path, "checkpoint")
    if not {"format_version", "definition", "samples_seen"} <= arrays.keys():
        raise refuse("it holds no definition of a network")
    version = arrays["format_version"]
    check_version(path, "checkpoint", "format_version", version, FORMAT_VERSION)
    try:
        net = definition_from(arrays["definition"])
    except ValueError as error:
        raise refuse(error) from error
    arithmetic = arithmetic_of(net)
    of_states = 2**arithmetic.magnitude_bits - 1

    def stored(prefix: str, exponent: int, lowest: int, highest: int) -> OnGrid:
        found = []
        for name, shape in _expected(net):
            if name.startswith(prefix):
                array = arrays.get(name)
                if array is None or array.shape != shape or array.dtype.kind != "i":
                    raise refuse(f"{name} must be integers of shape {shape}")
                ends = int(array.min(initial=0)), int(array.max(initial=0))
                if not lowest <= ends[0] <= ends[1] <= highest:
                    raise refuse(f"{name} must lie from {lowest} to {highest}")
                found.append(narrowed(array, copy=False))
        return OnGrid(found, exponent)

    of_weights = (arithmetic.exponent_of_weights, *arithmetic.range_of_weights)

    samples_seen = scalar(arrays["samples_seen"])
    if samples_seen is None or samples_seen < 0:
        raise refuse("samples_seen must be a number that is not negative")
    state = LearningState(
        weights=stored("weights_", *of_weights),
        backward_potentials=stored(
            "backward_potential_", -net.fraction_bits, -of_states, of_states
        ),
        feedback=stored("feedback_", *of_weights),
        samples_seen=samples_seen,
    )
    try:
        replay, encoder = _replay_from(net, arrays), _encoder_from(net, arrays)
    except (ValueError, RecursionError) as error:  # what cannot be read at all is refused already
        raise refuse(error) from error
    return Checkpoint(net, state, replay, encoder, "input_is_scaled" in arrays)


def _encoder_from(net: Definition, arrays: Mapping[str, NDArray[Any]]) -> WindowEncoder | None:
    """Return the encoder that arrays of a file hold, or None."""
    given = {
        name.removeprefix(OF_ENCODER): array
        for name, array in arrays.items()
        if name.startswith(OF_ENCODER)
    }
    if not given:
        return None
    encoder = WindowEncoder.from_arrays(given)
    if encoder.n_inputs != net.n_inputs:
        raise wrong_argument("encoder", f"one of {net.n_inputs} inputs", encoder.n_inputs)
    return encoder


def _replay_from(net: Definition, arrays: Mapping[str, NDArray[Any]]) -> ReplayBuffer | None:
    """Return the replay buffer that arrays of a file hold, or None.

    Raises
    ------
    ValueError
        If they hold one that the network could not have filled.
    """
    if "replay" not in arrays:
        return None
    settings = arrays["replay"]
    if settings.shape != (4,) or settings.dtype != np.int64:
        raise wrong_argument("replay", "int64 of shape (4,)", _type_of(settings))
    capacity, n_replayed, seed, n_seen = settings.tolist()
    buffer = ReplayBuffer(capacity, n_replayed=n_replayed, seed=seed)
    if n_seen == 0:
        return buffer
    n_kept = min(integer("n_seen", n_seen, 0, MOST_SAMPLES), capacity)
    inputs, outputs = (net.n_inputs,), (net.n_outputs,)
    shapes = {
        "replay_x": [inputs, (net.n_steps, *inputs)],
        "replay_y": [(), outputs, (net.n_steps, *outputs)],
    }
    x: Any = arrays.get("replay_x")
    if "replay_begin" in arrays:
        x = _rows_from(arrays, n_kept, net)
        del shapes["replay_x"]
    for name, allowed in shapes.items():
        array = arrays.get(name)
        known = [(n_kept, *shape) for shape in allowed]
        if array is None or array.dtype.char not in REALS or array.shape not in known:
            got = "nothing" if array is None else _type_of(array)
            all_known = " or ".join(map(str, known))
            raise wrong_argument(name, f"real numbers of shape {all_known}", got)
    batch = check_batch(net, x, arrays["replay_y"])
    buffer.__setstate__(buffer.__getstate__() | {"x": batch.x, "y": batch.y, "n_seen": n_seen})
    return buffer


def _rows_from(arrays: Mapping[str, NDArray[Any]], n: int, net: Definition) -> SparseRows:
    """Return the n samples whose lists arrays of a file hold, one for all steps or one for each."""
    nothing = np.empty(0)
    begin, unit, number = (arrays.get(f"replay_{name}", nothing) for name in ("begin", "unit", "x"))
    if unit.dtype != np.int32 or unit.ndim != 1 or unit.shape != number.shape:
        allowed = "int32 of one dimension, as many as replay_x"
        raise wrong_argument("replay_unit", allowed, _type_of(unit))
    shapes = [(n + 1,), (n * net.n_steps + 1,)]
    ends = begin[[0, -1]].tolist() if begin.shape in shapes else None
    if begin.dtype != np.int64 or ends != [0, len(unit)]:
        allowed = f"int64 of shape {shapes[0]} or {shapes[1]}, from 0 to {len(unit)}"
        raise wrong_argument("replay_begin", allowed, f"{_type_of(begin)}, from and to {ends}")
    lists = SparseRows(begin, unit, number, net.n_inputs)
    rows = rows_of_matrix("replay_x", lists.matrix())
    return rows.by_sample(net.n_steps) if len(rows) > n else rows


def _type_of(array: NDArray[Any]) -> str:
    return f"{array.dtype} of shape {array.shape}"


def definition_from(array: NDArray[Any]) -> Definition:
    """Return the definition that an array of a file holds as JSON.

    Raises
    ------
    ValueError
        If it holds none, or one that leaves a field to the defaults of its reader.
    """
    if array.ndim != 1 or array.dtype != np.uint8:
        raise ValueError("its definition must be text")
    try:
        values = json.loads(array.tobytes())
    except RecursionError:
        raise ValueError("its definition is nested too deep") from None
    net = definition_from_dict(values)
    if missing := ", ".join(name for name in net.field_names() if name not in values):
        raise ValueError(f"its definition lacks {missing}")
    return net


def _mean(matrices: tuple[NDArray[Any], ...]) -> NDArray[Any]:
    """Return the mean of integers, rounded once, ties to even."""
    n = len(matrices)
    total: Any = sum(matrix.astype(object if n > MOST_SUMMED else np.int64) for matrix in matrices)
    return narrowed(rounded_quotient(total, n))


def rounded_quotient(numbers: NDArray[Any], n: int) -> NDArray[np.int64]:
    """Return integers divided by a positive one, rounded to the nearest, ties to even."""
    whole, rest = numbers // n, 2 * (numbers % n)
    is_up = (rest > n) | ((rest == n) & (whole % 2 == 1))
    rounded: NDArray[np.int64] = (whole + is_up).astype(np.int64)
    return rounded


def _expected(net: Definition) -> Iterator[tuple[str, tuple[int, ...]]]:
    for layer, shape in enumerate(net.weight_shapes, 1):
        yield f"weights_{layer}", shape
    for layer, size in enumerate(net.layer_sizes[1:-1], 1):
        yield f"backward_potential_{layer}", (size,)
    if net.feedback == "random":
        for layer, feedback_shape in enumerate(net.feedback_shapes, 2):
            yield f"feedback_{layer}", feedback_shape
