"""What random scripts give a network as input, target or label: for Brian2, and for the reference.

A feed has two faces. One is made of Brian2 objects. The other is an array that holds what each step
receives, which follows from the documented rules and from nothing that the network computes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from brian2 import (
    NetworkOperation,
    NeuronGroup,
    PoissonGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    Synapses,
    TimedArray,
    ms,
)

#: The kinds of feeds for each place of a network; those that are named twice come more often.
KINDS = {
    "input": (
        *("constant", "expression", "timed_sample", "timed_step", "variable", "operation"),
        *("generator", "generator", "poisson", "neurons"),
    ),
    "label": (
        *("constant", "expression", "timed_sample", "timed_step", "timed_step"),
        *("variable", "operation", "nothing"),
    ),
    "target": (
        *("constant", "expression", "timed_sample", "timed_step"),
        *("variable", "operation", "generator", "poisson"),
    ),
}


class Grid(NamedTuple):
    """The steps of a script in time, which is counted in dt of the default clock.

    Attributes
    ----------
    dt : float
        A dt of the default clock in ms.
    stride : int
        How many of these a dt of the network's clock takes.
    ticks : int
        How many dt of the network's clock a step takes.
    n_steps : int
        The most steps of the script.
    """

    dt: float
    stride: int
    ticks: int
    n_steps: int

    @property
    def step_dts(self):
        """The dt that a step takes."""
        return self.stride * self.ticks

    @property
    def n_dts(self):
        """The dt of the whole script."""
        return self.n_steps * self.step_dts

    def time(self, dts):
        return dts * self.dt * ms

    @property
    def step(self):
        return self.time(self.step_dts)

    def step_of(self, dts):
        """Return the step in which spikes count that arrive in these dt, before the forward pass.

        A step that waits for spikes is computed in its last dt.
        """
        computed_at = ((np.arange(self.n_steps) + 1) * self.ticks - 1) * self.stride
        return np.searchsorted(computed_at, dts)

    def steps_before(self, dts):
        """Return how many steps a run that ends here has computed, or None if that may differ.

        A step without spikes is computed at its beginning, and another at its end.
        """
        if self.ticks > 1 and dts % self.step_dts:
            return None
        return -(-dts // self.stride) if self.ticks == 1 else dts // self.step_dts

    def indices(self, times):
        """Return the steps to which the times of a monitor belong."""
        return np.floor(np.asarray(times / self.step) + 1e-6).astype(int)


class Spikes(NamedTuple):
    """Spikes that arrive at units: when (in dt), where, and what each adds."""

    dts: Any = np.zeros(0, int)
    units: Any = np.zeros(0, int)
    weights: Any = 1.0

    def added(self, grid, n_units):
        """Return what arrives for each step, of shape (n_steps, n_units)."""
        total = np.zeros((grid.n_steps + 1, n_units))
        np.add.at(total, (grid.step_of(self.dts), self.units), self.weights)
        return total[:-1]


def nothing_for(mlp):
    return []


@dataclass
class Feed:
    """What a script gives a network in one place.

    Attributes
    ----------
    values : ndarray of shape (n_steps, n_units)
        The values of each step, without spikes.
    argument : object
        The argument of SpikingMLPGroup.
    namespace : dict
        Names that the argument refers to.
    objects : list
        Brian2 objects that the script holds.
    attach : callable
        Makes further objects for a network.
    arrivals : callable
        Returns the spikes that arrive, as far as the script has run.
    kind, maker : str, FeedMaker
        The kind of the feed, and what has made it.
    """

    values: np.ndarray
    argument: Any = None
    namespace: dict = field(default_factory=dict)
    objects: list = field(default_factory=list)
    attach: Callable = nothing_for
    arrivals: Callable = Spikes
    kind: str = ""
    maker: Any = None

    @property
    def is_spiking(self):
        """Whether it is a group that spikes."""
        return self.kind in ("generator", "poisson", "neurons")

    def rows(self, grid):
        """Return what each step receives, of shape (n_steps, n_units)."""
        return self.values + self.arrivals().added(grid, self.values.shape[1])


@dataclass
class FeedMaker:
    """Makes feeds of every kind for one place of a network: a method for each kind.

    Attributes
    ----------
    random : Generator
        Draws all numbers.
    grid : Grid
        The steps of the script.
    place : str
        "input", "target" or "label".
    n_units : int
        How many units receive values.
    numbers : str
        "real", "counts" (whole numbers), "signs" (-1, 0 and 1), or "labels" (with -1).
    n_classes : int
        How many labels there are.
    sample_steps : int
        How many steps a sample takes.
    order : int
        The order of the network's forward pass.
    """

    random: np.random.Generator
    grid: Grid
    place: str
    n_units: int
    numbers: str
    n_classes: int
    sample_steps: int
    order: int

    def make(self, kind):
        feed = getattr(self, kind)()
        feed.kind, feed.maker = kind, self
        return feed

    def drawn(self, n):
        """Return n rows of values; of input a few are wrong readings, which are large."""
        shape = (n, self.n_units)
        if self.numbers == "real":
            rows = self.random.uniform(-1, 2, shape)
        else:
            range_ = {"counts": (-2, 4), "signs": (-1, 2), "labels": (-1, self.n_classes)}
            rows = self.random.integers(*range_[self.numbers], shape).astype(float)
        if self.place == "input" and self.numbers != "signs":
            rows[self.random.random(shape) < 0.05] *= 100
        return rows

    def nothing(self):
        return Feed(self._all(-1.0 if self.place == "label" else 0.0))

    def constant(self):
        row = self.drawn(1)[0]
        return Feed(self._all(row), row if self.place != "label" else float(row[0]))

    def expression(self):
        """An expression that changes every few steps; the numbers are such that none is rounded."""
        name = f"period_{self.random.integers(2**31)}"
        period = int(self.random.integers(1, 4))
        turns = (np.arange(self.grid.n_steps) // period)[:, np.newaxis]
        # The moment within the step at which the expression is read does not matter.
        turn, units = f"int(t/{name} + 0.01)", np.arange(self.n_units)
        if self.numbers == "labels":
            n = self.n_classes + 1
            code, values = f"{turn} % {n} - 1", turns % n - 1
        elif self.numbers == "signs":
            code, values = f"({turn} + i) % 3 - 1", (turns + units) % 3 - 1
        else:
            gain = 2.0 if self.numbers == "counts" else 0.375
            code, values = f"{gain}*(({turn} + i) % 4 - 1)", gain * ((turns + units) % 4 - 1)
        return Feed(values.astype(float), code, {name: period * self.grid.step})

    def timed_sample(self):
        return self._timed(self.sample_steps)

    def timed_step(self):
        return self._timed(1)

    def _timed(self, steps):
        rows = self.drawn(-(-self.grid.n_steps // steps))
        # The last row stays; leave it out sometimes, so that it has to.
        rows = rows[: max(1, len(rows) - int(self.random.integers(2)))]
        given = rows[:, 0] if self.place == "label" else rows
        shown = np.minimum(np.arange(self.grid.n_steps) // steps, len(rows) - 1)
        return Feed(rows[shown], TimedArray(given, dt=steps * self.grid.step))

    def generator(self):
        """Spikes at any dt; with spikes as input in binary coding one for a unit and step."""
        dts, units = np.nonzero(self.random.random((self.grid.n_dts, self.n_units)) < self._share())
        if self.numbers == "signs":
            steps = self.grid.step_of(self._arrival(dts))
            _, first = np.unique([steps, units], axis=1, return_index=True)
            dts, units = dts[np.sort(first)], units[np.sort(first)]
        source = SpikeGeneratorGroup(self.n_units, units, self.grid.time(dts))
        arriving = Spikes(self._arrival(dts), units)
        return Feed(self._all(0.0), source, objects=[source], arrivals=lambda: arriving)

    def poisson(self):
        return self._recorded(PoissonGroup(self.n_units, self._share() / self.grid.time(1)))

    def neurons(self):
        source = NeuronGroup(
            self.n_units,
            "dv/dt = (drive_of_neurons + 0.4*i - v)/leak : 1",
            threshold="v > 1",
            reset="v = 0",
            method="euler",
        )
        leak = {"drive_of_neurons": 1 + self.random.random(), "leak": self.grid.time(3)}
        return self._recorded(source, leak)

    def _recorded(self, source, namespace=None):
        seen = SpikeMonitor(source)

        def arrivals():
            dts = np.rint(np.asarray(seen.t / self.grid.time(1))).astype(int)
            return Spikes(self._arrival(dts), np.asarray(seen.i))

        return Feed(self._all(0.0), source, namespace or {}, [source, seen], arrivals=arrivals)

    def variable(self):
        """A variable that the script sets between runs."""
        return Feed(self._all(-1.0 if self.place == "label" else 0.0), self._if_target())

    def operation(self):
        """A variable that a network_operation sets at the beginning of every step."""
        rows = self.drawn(self.grid.n_steps)

        def attach(mlp):
            def overwrite(t):
                put(mlp, self.place, rows[min(self.grid.indices(t), len(rows) - 1)])

            return [NetworkOperation(overwrite, dt=self.grid.step, when="start")]

        return Feed(rows, self._if_target(), attach=attach)

    def synapses(self):
        """Synapses of the script's own that lead from a generator into `received_input`."""
        n_sources, random = int(self.random.integers(1, 5)), self.random
        dts, sources = np.nonzero(random.random((self.grid.n_dts, n_sources)) < self._share())
        joined = random.random((n_sources, self.n_units)) < 0.6
        joined[0, 0] = True
        i, j = np.nonzero(joined)
        weights = random.integers(-4, 8, len(i)) * (1.0 if self.numbers == "counts" else 0.25)
        delay, is_early = int(random.integers(3)), bool(random.integers(2))
        source = SpikeGeneratorGroup(n_sources, sources, self.grid.time(dts))

        def attach(mlp):
            own = Synapses(source, mlp.input_layer, "w : 1", on_pre="received_input_post += w")
            own.connect(i=i, j=j)
            own.w = weights
            own.pre.delay = self.grid.time(delay)
            if is_early:
                own.pre.when, own.pre.order = "thresholds", self.order
            return [own]

        spike, synapse = np.nonzero(sources[:, np.newaxis] == i)
        arrived = dts[spike] + delay
        arrived = self._arrival(arrived) if is_early else arrived + 1
        arriving = Spikes(arrived, j[synapse], weights[synapse])
        return Feed(self._all(0.0), objects=[source], attach=attach, arrivals=lambda: arriving)

    def ends(self):
        """A group that ends samples, with spikes at any dt."""
        shape = (self.grid.n_dts, int(self.random.integers(1, 4)))
        share = 0.5 / (self.sample_steps * self.grid.step_dts * shape[1])
        dts, units = np.nonzero(self.random.random(shape) < share)
        source = SpikeGeneratorGroup(shape[1], units, self.grid.time(dts))
        arriving = Spikes(self._arrival(dts), np.zeros(len(dts), int))
        return Feed(self._all(0.0), source, objects=[source], arrivals=lambda: arriving)

    def _all(self, row):
        return np.tile(np.broadcast_to(row, self.n_units), (self.grid.n_steps, 1)).astype(float)

    def _if_target(self):
        """Return the argument that leaves the values of a variable to the script."""
        return np.zeros(self.n_units) if self.place == "target" else None

    def _share(self):
        """Return how often a unit fires in a dt: about once in a step, if that is long."""
        return min(0.3, 1.2 / self.grid.step_dts)

    def _arrival(self, dts):
        """Return when spikes arrive: in the same dt if the forward pass begins after order 0."""
        return dts if self.order > 0 else dts + 1


def put(mlp, place, row):
    """Set the values of a place of a network, as a user does."""
    if place == "input":
        mlp.input_layer.input_value = row
    elif place == "target":
        mlp.output_layer.target_value = row
    else:
        mlp.schedule.label = row[0]
