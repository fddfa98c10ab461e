"""Random scripts for Brian2: after each run the network is what the reference says, `==`."""

import gc
import signal
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

import brian2
from brian2 import Clock, EventMonitor, Network, NetworkOperation, StateMonitor, Synapses, ms
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from spikebp_brian2 import SpikingMLPGroup
from spikebp_brian2.variables import read_state, reader
from spikebp_plugins import Checkpoint
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.state import initial_state
from tests.core.literal import asked_by
from tests.core.strategies import definitions, networks, random_weights
from tests.profiles import examples
from tests.step_oracle import follow
from tests.with_brian2.experiment import NET, Experiment, assert_equal_states
from tests.with_brian2.script_feeds import KINDS, FeedMaker, Grid, put

#: The longest script, in dt.
MOST_DTS = 120

#: What monitors record of a layer, if it has it.
EVENTS = {"spike": "spike_count", "error": "error", "sample_end": "summed_drive"}
STATES = ("potential", "summed_drive", "input_count", "backward_potential", "target_potential")

SMALL = {"max_depth": 4, "max_width": 6, "max_steps": 8, "rates": (0.1, 0.5, 2.0)}
NETS = st.one_of(
    definitions(**SMALL),
    networks(max_side=4, max_width=5, max_steps=6, rates=(0.1, 0.5)),
)


class Player(NamedTuple):
    """A network of a script: what it starts from, and monitors by layer and event, or "states"."""

    start: Checkpoint
    mlp: SpikingMLPGroup
    monitors: dict


class Series(NamedTuple):
    """How a second network listens to some units of a layer of the first.

    They are its argument `input` or `target`, or at the other end of synapses to its input. If they
    teach it, its input is that of the first network: one source serves both. If the order of its
    forward pass is below that of the first network, spikes arrive in the next dt.
    """

    net: Any
    layer: int
    units: slice
    place: str
    order: int
    label: str

    @property
    def is_in_same_step(self):
        """Whether a step of several dt brings the second network what it brings the first."""
        return self.place != "synapses" and self.order > 0


@st.composite
def series(draw, below):
    layer = draw(st.integers(0, below.n_layers))
    first = draw(st.integers(0, below.layer_sizes[layer] - 1))
    last = draw(st.integers(first + 1, below.layer_sizes[layer]))
    place = draw(st.sampled_from(["input", "input", "target", "target", "synapses"]))
    above = draw(st.lists(st.integers(1, 5), min_size=place != "target", max_size=3))
    n = last - first
    sizes = (below.n_inputs, *above, n) if place == "target" else (n, *above)
    net = draw(definitions(sizes=sizes, **SMALL))
    if place == "target":
        net = net.replace(input_coding=below.input_coding, spikes=below.spikes)
    elif numbers_of(net) == "signs" and below.spikes == "graded":
        net = net.replace(input_coding="values")
    order = 60 if place == "synapses" else draw(st.sampled_from([60, 60, -60]))
    label = draw(st.sampled_from(KINDS["label"][:5]))
    return Series(net, layer, slice(first, last), place, order, label)


def numbers_of(net):
    """Return what the input of a network consists of."""
    if net.input_coding == "values":
        return "real"
    return "counts" if net.spikes == "graded" else "signs"


class UsersError(Exception):
    """An error of the script's own."""


class Ending:
    """How code of the script ends a run: in which dt (None for not at all), and at which place.

    At "stop" and "signal" the run stops behind the dt; at the others an error comes at its start,
    within the step, or at its end.
    """

    ERRORS = ("start", "step", "end")

    def __init__(self, script):
        self.dt = self.place = None
        self.objects = [
            NetworkOperation(lambda t: self._act(script, t, "start"), when="start", order=-9),
            NetworkOperation(
                lambda t: self._act(script, t, "step"), when="thresholds", order=script.order + 4
            ),
            NetworkOperation(lambda t: self._act(script, t, "end"), when="end", order=99),
        ]

    def _act(self, script, t, place):
        if self.dt is None or round(t / script.grid.time(1)) != self.dt:
            return
        if self.place == place:
            self.dt = None
            raise UsersError
        if place == "start" and self.place == "stop":
            script.network.stop()
        if place == "start" and self.place == "signal":
            signal.raise_signal(signal.SIGINT)


class Question(NamedTuple):
    """Samples that a network predicts in the middle of a script, or of a run, and its answers."""

    steps: int
    x: Any
    y: Any
    scores: Any
    accuracy: Any


class Script(RuleBasedStateMachine):
    """A script that runs in parts, presents samples, sets what is its own to set, and goes back.

    On its way it predicts samples, which changes nothing.
    """

    @initialize(data=st.data(), seed=st.integers(0, 2**32 - 1))
    def make(self, data, seed):
        # Brian2 collects garbage before every run, and keeps much for good, which is none.
        gc.collect()
        gc.freeze()
        brian2.start_scope()
        brian2.seed(seed)
        self.random, draw = np.random.default_rng(seed), data.draw
        self.now, self.stored = 0, None
        net = draw(NETS)
        self.series = draw(st.one_of(st.none(), st.none(), series(net)))
        input_, extra = self._kinds_of_input(draw, net)
        self.order = draw(st.sampled_from([1, 1, 1, 5, 50, -3, -40]))
        self._draw_timing(draw, net, input_, extra)
        place = draw(st.sampled_from(["label", "label", "target"]))
        self.inputs = [self._feed(net, "input", kind) for kind in (input_, extra)]
        self.answer = self._feed(net, place, draw(st.sampled_from(KINDS[place])))
        self.feeds = [*self.inputs, self.answer]
        self.given = {"input": self.inputs[0].argument, place: self.answer.argument}
        self.ends = None
        if draw(st.sampled_from([False, False, False, True])):
            self.ends = self._feed(net, "label", "ends")
            self.feeds.append(self.ends)
            self.given["sample_end"] = self.ends.argument
        self.settable = [feed for feed in self.feeds if feed.kind == "variable"]
        #: From `first_answer` on, what presented samples ask for in each step; None for nothing.
        self.answers, self.first_answer = [None] * self.grid.n_steps, self.grid.n_steps
        self.own_rows, self.questions, self.asks_at = self.inputs[0].values.copy(), [], None
        self.switches = draw(st.sampled_from([False, False, False, True]))
        self.learns, self.rates = np.ones(self.grid.n_steps, bool), {}
        self._make_networks(net)

    def _kinds_of_input(self, draw, net):
        kind = draw(st.sampled_from(KINDS["input"]))
        if numbers_of(net) == "signs":
            return kind, "nothing"
        spiking = kind in ("generator", "poisson", "neurons")
        more = ["nothing", "nothing", "synapses", "variable" if spiking else "synapses"]
        return kind, draw(st.sampled_from(more))

    def _draw_timing(self, draw, net, input_, extra):
        # What receives at most one spike of a unit in a step, and what tells the dt of a step.
        is_single = numbers_of(net) == "signs" and input_ in ("poisson", "neurons")
        tells = self.series is not None and not self.series.is_in_same_step
        clock = draw(st.sampled_from(["default", "default", "clock", "dt"]))
        stride = 1 if clock == "default" or is_single else draw(st.integers(1, 3))
        is_short = is_single or tells or extra == "synapses"
        ticks = 1 if is_short else draw(st.sampled_from([1, 1, 2, 3, 5]))
        dt = draw(st.sampled_from([0.1, 0.05, 0.125, 0.2, 0.3, 0.5, 0.7, 1.0]))
        n_steps = min(4 * steps_of_sample(net, net.n_steps), MOST_DTS // (stride * ticks))
        self.grid = Grid(dt, stride, ticks, n_steps)
        brian2.defaultclock.dt = dt * ms
        tick = self.grid.time(stride)
        of_clock = {
            "default": dict,
            "clock": lambda: {"clock": Clock(tick)},
            "dt": lambda: {"dt": tick},
        }
        self.timing = of_clock[clock]()
        if ticks > 1 or draw(st.booleans()):
            self.timing["step"] = self.grid.step

    def _feed(self, net, place, kind, order=None):
        numbers = {"input": numbers_of(net), "target": "real", "label": "labels"}[place]
        n_units = {"input": net.n_inputs, "target": net.n_outputs, "label": 1}[place]
        of_net = net.n_outputs, steps_of_sample(net, net.n_steps)
        order = self.order if order is None else order
        maker = FeedMaker(self.random, self.grid, place, n_units, numbers, *of_net, order)
        return maker.make(kind)

    def _make_networks(self, net):
        self.players, objects = [self._player(net, order=self.order, **self.given)], []
        if self.switches:
            self.learns = self.random.random(self.grid.n_steps) < 0.6
            objects.append(NetworkOperation(self._switch, dt=self.grid.step, when="start"))
        if self.series is not None:
            objects += self._make_second(*self.series)
        self.ending = Ending(self)
        objects += [*self.ending.objects, NetworkOperation(self._ask_in_run, when="end", order=98)]
        self.namespace = {}
        for feed in self.feeds:
            objects += [*feed.objects, *feed.attach(self.players[0].mlp)]
            self.namespace |= feed.namespace
        for player in self.players:
            objects += [player.mlp, *player.monitors.values()]
        self.network = Network(*objects)

    def _switch(self, t):
        step = min(self.grid.indices(t), self.grid.n_steps - 1)
        self.players[0].mlp.schedule.learning = bool(self.learns[step])

    def _make_second(self, net, layer, units, place, order, kind):
        order += self.order
        source = self.players[0].mlp.layers[layer][units]
        if place == "target":
            given = {"target": source}
            # Spikes arrive for both networks in one step if both begin after the source fires.
            if not self.inputs[0].is_spiking or (order > 0) == (self.order > 0):
                given["input"] = self.inputs[0].argument
            self.has_one_source = given.get("input") is not None
        else:
            self.label = self._feed(net, "label", kind, order)
            self.feeds.append(self.label)
            given = {"label": self.label.argument, "input": source if place == "input" else None}
        self.players.append(self._player(net, order=order, **given))
        if place != "synapses":
            return []
        on_pre = "received_input_post += spike_count_pre"
        own = Synapses(source, self.players[1].mlp.input_layer, on_pre=on_pre)
        own.pre.when, own.pre.order = "thresholds", order
        own.connect(j="i")
        return [own]

    def _player(self, net, **arguments):
        """Make a network with some past, and monitors of all that can be recorded."""
        state = initial_state(net, random_weights(net, self.random, 0.8))
        psi = [self.random.integers(-8, 9, len(psi)) / 4 for psi in state.backward_potentials]
        start = Checkpoint(net, state.with_reals(backward_potentials=psi)._replace(samples_seen=3))
        mlp, monitors = SpikingMLPGroup(start, **arguments, **self.timing), {}
        for l, layer in enumerate(mlp.layers):
            for event in layer.events.keys() & EVENTS:
                monitors[l, event] = EventMonitor(layer, event, variables=[EVENTS[event]])
            names = [name for name in STATES if name in layer.variables]
            monitors[l, "states"] = StateMonitor(layer, names, True, when="end")
        return Player(start, mlp, monitors)

    # What the script does.

    @property
    def has_presented(self):
        """Whether samples take the place of the values that it has set."""
        return self.first_answer < self.grid.n_steps

    @property
    def steps(self):
        """The steps computed so far; None within a step."""
        return self.grid.steps_before(self.now)

    @rule(dts=st.integers(1, 40), is_whole=st.booleans(), asks=st.booleans())
    def run(self, dts, is_whole, asks):
        """Run, and predict some samples within the run."""
        if is_whole:
            dts = -(-dts // self.grid.step_dts) * self.grid.step_dts
        if left := self.grid.n_dts - self.now:
            dts = min(dts, left)
            middle = self.now + dts // 2
            if asks and self.grid.steps_before(middle + 1) is not None:
                self.asks_at = middle
            self._run(dts)

    @rule(
        dts=st.integers(1, 40),
        last=st.integers(0, 39),
        place=st.sampled_from(["stop", "signal", "start", "start", "step", "end"]),
    )
    def run_that_is_ended(self, dts, last, place):
        if left := self.grid.n_dts - self.now:
            dts = min(dts, left)
            self.ending.dt, self.ending.place = self.now + last % dts, place
            self._run(dts)

    def _run(self, dts):
        before, ended = None, self.ending.dt
        end = self.now + dts if ended is None else ended + 1
        try:
            # Out of range may be what a run has left that an error has ended within a step.
            before = self.players[0].mlp.checkpoint().state
            try:
                self.network.run(self.grid.time(dts), namespace=self.namespace)
            except UsersError:
                self._follow_error(ended, before)
                return
            except OverflowError:
                self.now = end
                raise
            self.now = end
            if self.steps:
                self._compare(self.steps)
        except OverflowError as error:
            self._check_overflow(str(error), before)
        finally:
            self.ending.dt = None

    def _follow_error(self, dt, before):
        """Check what is left by an error in a dt; only one at its start lets the script go on."""
        place = self.ending.place
        self.now = dt if place == "start" else dt + 1
        if place == "step" and dt % self.grid.stride == 0:
            assert_equal_states(self.players[0].mlp.checkpoint().state, before)
        elif self.steps and (place != "step" or self.series is None):
            self._compare(self.steps)
        if place != "start":
            self.now, self.stored = self.grid.n_dts, None

    def _check_overflow(self, message, before):
        """Check that the first of the networks, or the second, has rightly ended the script."""
        if self.series is None and before is not None:
            assert_equal_states(self.players[0].mlp.checkpoint().state, before)
        if not message.startswith(("a sum", "a weight")):  # these are estimated
            with pytest.raises(OverflowError):
                self._results(-(-self.now // self.grid.step_dts))
        self.now, self.stored = self.grid.n_dts, None

    @precondition(lambda self: self.ends is None and self.steps is not None)
    @rule(
        n=st.integers(1, 4),
        kind=st.sampled_from(["labels", "labels", "targets", "nothing"]),
        dts=st.integers(1, 40),
    )
    def present_and_run(self, n, kind, dts):
        """Present samples, some of which have no label, in the place of what values are given."""
        net, mlp = self.players[0].start.net, self.players[0].mlp
        first, duration = self.steps, steps_of_sample(net, net.n_steps)
        x, y, answers = self._samples(n), None, [None] * n
        if numbers_of(net) == "signs" and self.inputs[0].is_spiking:
            x *= 0  # no more than one spike of a unit may come in a step
        if kind == "labels":
            y = self.random.integers(-1, net.n_outputs, n)
            answers = [None if label < 0 else label for label in y]
        elif kind == "targets":
            answers = y = self.random.uniform(-1, 3, (n, net.n_outputs))
        if not mlp.schedule.sample_over[0]:
            with pytest.raises(RuntimeError, match="between samples"):
                mlp.present(x, y)
            return
        assert round(mlp.present(x, y) / self.grid.step) == n * duration
        rows = np.zeros((n, duration, net.n_inputs))
        rows[:, : net.n_steps] = x if x.ndim == 3 else x[:, np.newaxis]
        shown = rows.reshape(n * duration, -1)[: self.grid.n_steps - first]
        for feed in self.inputs:
            feed.values[first:] = 0
        self.inputs[0].values[first : first + len(shown)] = shown
        steps = [one for one in answers for _ in range(duration)]
        left = self.grid.n_steps - first
        self.answers[first:] = [*steps, *[None] * left][:left]
        self.first_answer, self.stored = min(first, self.first_answer), None
        self.run(dts, is_whole=False, asks=True)

    def _samples(self, n):
        """Return values, or the spikes of each step, of some samples."""
        net, drawn = self.players[0].start.net, self.inputs[0].maker.drawn
        if net.input_coding == "values":
            return drawn(n)
        return drawn(n * net.n_steps).reshape(n, net.n_steps, -1).astype(int)

    def _ask_in_run(self, t):
        if self.asks_at is not None and round(t / self.grid.time(1)) == self.asks_at:
            self.asks_at = None
            self._ask(self.grid.steps_before(round(t / self.grid.time(1)) + 1))

    @precondition(lambda self: self.steps is not None)
    @rule()
    def predict(self):
        self._ask(self.steps)

    def _ask(self, steps):
        mlp, net = self.players[0].mlp, self.players[0].start.net
        x = self._samples(4)
        y = self.random.integers(-1, net.n_outputs, 4)
        y[0] = 0  # one is known
        try:
            answers = mlp.predict(x), mlp.accuracy(x, y)
        except OverflowError:
            answers = None, None  # of the samples; or of this run, which then ends by that
        self.questions.append(Question(steps, x, y, *answers))

    @precondition(lambda self: self.settable and self.steps is not None)
    @precondition(lambda self: not self.has_presented)
    @rule()
    def set_variables(self):
        for feed in self.settable:
            (row,) = feed.maker.drawn(1)
            feed.values[self.steps :] = row
            put(self.players[0].mlp, feed.maker.place, row)

    @precondition(lambda self: not self.switches and self.steps is not None)
    @rule(learning=st.booleans())
    def set_learning(self, learning):
        self.players[0].mlp.learning = learning
        self.learns[self.steps :] = learning

    @precondition(lambda self: self.steps is not None)
    @rule(factor=st.sampled_from([0.5, 0.75, 2.0]))
    def set_rate(self, factor):
        mlp = self.players[0].mlp
        try:
            mlp.learning_rate *= factor
        except ValueError:  # it would round to zero
            assert factor < 1
        else:
            self.rates[self.steps] = mlp.net.learning_rate

    @precondition(lambda self: self.stored is None)
    @rule()
    def store(self):
        self.network.store()
        settable = [feed.values.copy() for feed in self.settable]
        self.stored = self.now, self.learns.copy(), self.rates.copy(), settable

    @precondition(lambda self: self.stored is not None and self.now > self.stored[0])
    @rule()
    def restore(self):
        self.network.restore(restore_random_state=True)
        (self.now, self.learns, self.rates, values), self.stored = self.stored, None
        self.questions, self.asks_at = [], None
        for feed, before in zip(self.settable, values, strict=True):
            feed.values[:] = before

    def teardown(self):
        if hasattr(self, "network") and (begun := self.now % self.grid.step_dts):
            self._run(self.grid.step_dts - begun)

    # What the reference says.

    def _compare(self, n):
        all_results = self._results(n)
        for player, results in zip(self.players, all_results, strict=True):
            assert_equal(player, results, self.grid)
        questions, self.questions = self.questions, []
        for question in questions:
            assert_right(question, self.players[0].start, all_results[0])

    def _results(self, n):
        """Return what each network is after each of n steps."""
        grid = self.grid
        x = sum(feed.rows(grid) for feed in self.inputs)[:n]
        ends = None if self.ends is None else self.ends.rows(grid)[:, 0] > 0
        wanted = targets(self.answer, grid, self.learns[:n])
        wanted[self.first_answer :] = self._presented_answers(n)
        results = follow(self.players[0].start, x, wanted, ends, rates=self.rates)
        if self.series is None:
            return [results]
        passed_on = self._passed_on(results)
        if self.series.place == "target":
            own = self.own_rows + self.inputs[0].arrivals().added(grid, self.own_rows.shape[1])
            x, labels = own[:n] * self.has_one_source, list(passed_on)
        else:
            x, labels = passed_on, targets(self.label, grid, np.ones(n, bool))
        return [results, follow(self.players[1].start, x, labels, None)]

    def _presented_answers(self, n):
        """Return what the output is compared with in each step since samples were presented."""
        net, steps = self.players[0].start.net, range(self.first_answer, n)
        arriving = self.answer.arrivals().added(self.grid, net.n_outputs)
        found = []
        for step in steps:
            answer = self.answers[step] if self.learns[step] else None
            if answer is not None and self.answer.maker.place == "target":
                row = asked_by(net, [answer])[0] if np.ndim(answer) == 0 else answer
                answer = np.array(row) + arriving[step]
            found.append(answer)
        return found

    def _passed_on(self, results):
        """Return what the second network receives in each step."""
        counts = np.array([result.spikes[self.series.layer] for result in results], float)
        counts = counts[:, self.series.units]
        if self.series.order < 0:
            counts = np.concatenate([np.zeros_like(counts[:1]), counts[:-1]])
        return counts


def targets(feed, grid, learns):
    """Return what the output is compared with in each step; None where nothing is learned."""
    rows = feed.rows(grid)[: len(learns)]
    if feed.maker.place == "label":
        rows = [None if row[0] < 0 else int(row[0]) for row in rows]
    return [row if learning else None for row, learning in zip(rows, learns, strict=True)]


def assert_right(question, start, results):
    """Assert that samples were predicted as the reference does from the last whole sample."""
    whole = [result.state for result in results[: question.steps] if result.closes]
    state = whole[-1].on_grid(start.net) if whole else start.state
    with Checkpoint(start.net, state).simulate("reference") as sim:
        if question.scores is None:
            with pytest.raises(OverflowError):
                sim.predict(question.x)
            return
        scores = sim.predict(question.x)
    assert np.array_equal(question.scores, scores)
    known = question.y >= 0
    assert question.accuracy == np.mean((scores.argmax(axis=1) == question.y)[known])


def assert_equal(player, results, grid):
    """Assert that a network is, and was in each step, what the reference says."""
    mlp, last = player.mlp, results[-1]
    for (l, event), monitor in player.monitors.items():
        steps = grid.indices(monitor.t)
        for name in set(monitor.record_variables) - {"i", "t"}:
            expected = np.array([value_of(name, result, l) for result in results], float)
            found, seen = np.zeros_like(expected), getattr(monitor, name)
            if event == "states":
                found[steps] = seen.T  # of the dt of a step the last remains
            else:
                np.add.at(found, (steps, np.asarray(monitor.i)), seen[:])
            if event == "sample_end":
                expected *= np.array([[result.closes] for result in results])
            wrong = np.argwhere(found != expected)
            assert not len(wrong), f"{event} of layer {l}, {name}: first at {wrong[0]} (step, unit)"
    # A checkpoint holds whole samples alone.
    whole = [player.start.state, *(result.state for result in results if result.closes)]
    assert_equal_states(mlp.checkpoint().state, whole[-1])
    assert all(map(np.array_equal, read_state(mlp.net, reader(mlp)).weights, last.state.weights))
    assert np.array_equal(mlp.scores, last.scores)
    assert int(mlp.schedule.samples_shown[0]) == last.shown
    # In the middle of a sample the spikes of its first steps have been counted already.
    assert not last.closes or mlp.operations == last.operations


def value_of(name, result, l):
    """Return a variable of layer l as the reference has it after a step."""
    sample, psi = result.sample, (None, *result.state.backward_potentials)
    layers = {
        "spike_count": result.spikes,
        "error": result.errors,
        "potential": sample.phi,
        "summed_drive": sample.s,
        "input_count": sample.c,
        "backward_potential": psi,
    }
    return sample.phi_y if name == "target_potential" else layers[name][l]


TestScripts = Script.TestCase
TestScripts.settings = settings(
    max_examples=examples(28),
    stateful_step_count=8,
    phases=set(Phase) - {Phase.shrink, Phase.explain},  # which would take minutes
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
@pytest.mark.parametrize("update", ["fractional", "outer"])
def test_steps_of_the_oracle_are_whole_samples_of_the_reference(timing, update):
    experiment = Experiment(NET.replace(timing=timing, update=update, backward_init="zero"))
    net, n_samples = experiment.net, len(experiment.x)
    start = Checkpoint(net, initial_state(net, experiment.weights))
    duration = steps_of_sample(net, net.n_steps)
    x = np.repeat(experiment.x, duration, axis=0)
    results = follow(start, x, np.repeat(experiment.y, duration), None)
    closing = [step for step, result in enumerate(results) if result.closes]
    assert closing == [*range(duration - 1, n_samples * duration, duration)]
    end = results[-1]
    assert end.operations == experiment.operations
    assert np.array_equal(end.scores, experiment.trace.scores[-1])
    assert_equal_states(end.state, experiment.end)
