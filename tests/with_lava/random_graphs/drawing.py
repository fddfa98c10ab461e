"""What is drawn from a seed: definitions of networks, and the graphs around them."""

from dataclasses import dataclass, replace

import numpy as np
from lava.magma.core.run_configs import Loihi1SimCfg, Loihi2SimCfg

from spikebp_plugins import AveragePool2D, Conv2D, Dense, Sparse, SpikingMLP, SpikingNetwork
from tests.with_lava.random_graphs.feeds import messages_of_sample

#: The longest graph, in steps of Lava.
MOST_MESSAGES = 120

FORMS = ("leaf", "leaf", "sample", "hierarchical", "hierarchical", "standard", "standard")
INPUTS = (
    *("source", "source", "changing", "buffer", "buffer", "own", "two", "neurons", "relayed"),
)
ANSWERS = (
    *("source", "source", "source_targets", "labels", "labels", "late", "unknown"),
    *("targets", "own_targets", "none"),
)
#: The shapes of images that a network with connections of all kinds is given.
IMAGES = ((4, 3), (3, 3, 2), (5, 2))
RECEIVERS = ("scores", "spikes", "drive", "behind")


@dataclass(frozen=True)
class Part:
    """A network in a graph.

    Attributes
    ----------
    net : Definition
        The definition.
    form : str
        "leaf", "sample" (a leaf with a message a sample), "hierarchical" or "standard".
    input, answer : str
        The kinds of input, and of label or target. The input of a second network is the output of
        the first one ("series") or has the first one's ("shared").
    resets : bool
        Whether `reset_in` is connected.
    receivers : tuple of str
        What receives the output.
    monitors : tuple of tuple
        The variables that have a monitor, each a kind and a layer.
    nested : str
        Whether a process contains the network, "" if not: one with "all" of its ports, or with
        those that are "used".
    """

    net: SpikingMLP
    form: str
    input: str
    answer: str
    resets: bool
    receivers: tuple[str, ...]
    monitors: tuple[tuple[str, int], ...]
    nested: str


@dataclass(frozen=True)
class Graph:
    """All decisions of a graph; the numbers in it are drawn from the seed.

    Attributes
    ----------
    seed : int
        The seed.
    tag : str
        The tag of the run configuration.
    configuration : type
        The class of the run configuration.
    parts : tuple of Part
        One network or two.
    cuts : tuple of int
        Where runs end, in steps of Lava.
    learning : tuple of tuple of bool
        Whether each network learns in each run.
    settings : tuple of int
        The runs before which weights of the first network are set.
    reads : bool
        Whether variables are read between runs.
    is_continuous : bool
        Whether it runs until it is paused, instead of for numbers of steps.
    runners : tuple of int
        Which process is run each time, and which one stops the graph.
    then : Graph or None
        The graph that goes on from a checkpoint of the first network.
    """

    seed: int
    tag: str
    configuration: type
    parts: tuple[Part, ...]
    cuts: tuple[int, ...]
    learning: tuple[tuple[bool, ...], ...]
    settings: tuple[int, ...]
    reads: bool
    is_continuous: bool
    runners: tuple[int, ...]
    then: "Graph | None" = None

    @property
    def n_messages(self):
        """The steps of Lava, as far as they are known before."""
        return self.cuts[-1]

    @property
    def is_fixed(self):
        return self.tag == "fixed_pt"

    def kinds(self):
        """Return the names of what the graph covers."""
        found = [self.tag, self.configuration.__name__, f"runs {len(self.cuts)}"]
        found += ["weights set"] * bool(self.settings) + ["variables read"] * self.reads
        found += ["until paused"] * self.is_continuous
        found += ["learning switched"] * (not all(map(all, self.learning)))
        for part in self.parts:
            found += [part.form, part.net.timing, part.net.arithmetic]
            found += {f"connection {c.kind}" for c in part.net.connections}
            found += [f"input {part.input}", f"answer {part.answer}", *part.receivers]
            found += ["resets"] * part.resets + [f"nested, ports {part.nested}"] * bool(part.nested)
            found += [f"monitor of {kind}" for kind, _ in part.monitors]
        found += ["two networks"] * (len(self.parts) > 1)
        found += [f"then {self.then.parts[0].form}"] if self.then is not None else []
        return found


def draw(seed, has_all_kinds=False):
    """Return the graph of a seed, with connections of all kinds where that is wanted."""
    return Drawing(seed, has_all_kinds).graph()


def layers_with_weights(net):
    """Return the layers that are reached through weights: those that pool are not."""
    return [l for l, c in enumerate(net.connections, 1) if c.constant_weight is None]


def layer_above(below, random):
    """Return a layer of any kind that fits one of the shape `below`."""
    n = int(random.integers(1, 7))
    kinds = [Dense(n), Sparse(n, density=0.5)]
    if len(below) > 1:
        channels, size = random.integers(1, 4, 2).tolist()
        stride, padding = int(random.integers(1, 3)), int(random.integers(2))
        size = min(size, *(side + 2 * padding for side in below[:2]))
        kinds = [Conv2D(channels, size, stride, padding)] * 2 + kinds
        kinds += [AveragePool2D(min(2, *below[:2]))] * 2
    return kinds[random.integers(len(kinds))]


class Drawing:
    """Draws the decisions of a graph."""

    def __init__(self, seed, has_all_kinds):
        self.seed, self.random = seed, np.random.default_rng([seed, 1])
        self.has_all_kinds = has_all_kinds

    def one_of(self, *values):
        return values[int(self.random.integers(len(values)))]

    def chance(self, share):
        return bool(self.random.random() < share)

    def graph(self):
        tag = self.one_of("floating_pt", "fixed_pt")
        form = self.one_of(*FORMS)
        # Of samples that are half shown the model of Lava's engine knows nothing.
        is_continuous = self.chance(0.1) and (tag, form) != ("fixed_pt", "standard")
        parts = [self.part(tag, self.net(tag, form), form, is_continuous)]
        if self.chance(0.25):
            parts.append(self.second(tag, parts[0], is_continuous))
        goes_on = not is_continuous and not parts[0].resets and self.chance(0.2)
        graph = self.played(tag, tuple(parts), is_continuous, goes_on)
        return replace(graph, then=self.following(parts[0].net)) if goes_on else graph

    def following(self, net):
        """Return a graph for the same network in any form."""
        tag = "fixed_pt" if net.arithmetic == "loihi2" else self.one_of("floating_pt", "fixed_pt")
        part = self.part(tag, net, self.form_for(net, tag), False)
        return self.played(tag, (part,), False, False)

    def form_for(self, net, tag):
        if net.arithmetic == "loihi2":
            return "standard"
        can_be_standard = net.timing == "pipelined" and tag == "floating_pt"
        return self.one_of(*(FORMS if can_be_standard else FORMS[:5]))

    def played(self, tag, parts, is_continuous, ends_with_sample):
        """Return a graph of these networks."""
        is_engine = parts[0].net.arithmetic == "loihi2"  # it knows whole samples
        cuts = self.cuts(parts, ends_with_sample or is_engine)
        n_runs = len(cuts)
        has_weights = not is_engine and not is_continuous
        return Graph(
            seed=self.seed,
            tag=tag,
            configuration=self.one_of(Loihi2SimCfg, Loihi2SimCfg, Loihi1SimCfg),
            parts=parts,
            cuts=cuts,
            learning=tuple(tuple(self.chance(0.8) for _ in parts) for _ in range(n_runs)),
            settings=tuple(r for r in range(n_runs) if has_weights and self.chance(0.15)),
            reads=self.chance(0.4),
            is_continuous=is_continuous,
            runners=tuple(self.random.integers(0, 1000, n_runs + 1).tolist()),
        )

    def cuts(self, parts, ends_with_sample):
        per_sample = messages_of_sample(parts[0].net, parts[0].form)
        n = per_sample * max(1, min(int(self.random.integers(1, 7)), MOST_MESSAGES // per_sample))
        if not ends_with_sample:
            n += int(self.random.integers(per_sample))
        inner = self.random.integers(1, n + 1, self.one_of(0, 0, 1, 1, 2, 3))
        return tuple(sorted({*inner.tolist(), n}))

    def net(self, tag, form, n_inputs=None):
        depth = self.one_of(1, 2, 2, 3, 3, 4)
        sizes = self.random.integers(1, 7, depth + 1).tolist()
        sizes[0] = n_inputs or sizes[0]
        is_standard = form == "standard"
        is_engine = is_standard and tag == "fixed_pt"
        drive = (0.3 if form in ("leaf", "sample") else 0.02) * (not is_engine)
        presynaptic = "drive" if self.chance(drive) else "counts"
        arithmetic = "loihi2" if is_engine else "fixed"
        if self.chance(0.02):  # others are refused; doubles only where they are, since they round
            arithmetic = self.one_of("loihi2", "fixed", *["float64"] * (tag == "fixed_pt"))
        presynaptic = "counts" if arithmetic == "loihi2" else presynaptic
        bits = None
        if arithmetic == "fixed":
            # On a fine grid the product of rate and drive would be refused.
            bits = self.one_of(*((None, None, 17, 24, 33) if presynaptic == "counts" else (None,)))
        is_outer = arithmetic != "loihi2" and self.chance(0.33)
        net = SpikingMLP(
            sizes,
            n_steps=self.one_of(1, 2, 3, 4, 5, 6, 7, 8),
            learning_rate=self.one_of(*((0.1, 0.3) if arithmetic == "loihi2" else (0.1, 0.5, 2.0))),
            timing="pipelined" if is_standard or self.chance(0.4) else "immediate",
            input_coding=self.one_of("values", "values", "spikes"),
            input_scale=self.one_of(1.0, 1 / 3, 1.7),
            update="outer" if is_outer else "fractional",
            presynaptic=presynaptic,
            spikes=self.one_of("graded", "graded", "binary"),
            arithmetic=arithmetic,
            fraction_bits=bits,
            backward_init=self.one_of("carry", "zero", "uniform"),
            feedback=self.one_of("transpose", "transpose", "random"),
            seed=(seed := int(self.random.integers(1000))),
            # Not drawn, so that what is drawn for a seed stays what it was.
            label_targets=((0, 1), (0, 1), (1, 5), (-0.3, 2.7))[seed % 4],
        )
        # Where doubles or standard parts are asked for, dense networks are asked of them.
        can_share = self.has_all_kinds and not is_standard and arithmetic != "float64"
        return self.of_all_kinds(net, n_inputs) if can_share else net

    def of_all_kinds(self, net, n_inputs):
        """Return a network with connections of all kinds, with the other fields of a definition."""
        random = np.random.default_rng([net.seed, 1])
        shape = (n_inputs,) if n_inputs else IMAGES[net.seed % len(IMAGES)]
        below, layers = shape, []
        for _ in range(net.n_layers):
            layers.append(layer_above(below, random))
            below = SpikingNetwork(shape, layers).layer_shapes[-1]
        fields = net.field_values()
        del fields["layer_sizes"]
        return SpikingNetwork(shape, layers, **fields)

    def part(self, tag, net, form, is_continuous):
        kinds = INPUTS
        is_single = net.input_coding == "spikes" and net.spikes == "binary"
        if is_single:  # these send more than one spike, or add up to it
            kinds = tuple(kind for kind in INPUTS if kind not in ("two", "relayed"))
        input_ = "huge" if self.chance(0.015) and not is_single else self.one_of(*kinds)
        if is_continuous:  # a process of the graph's own holds it back, and counts steps
            input_ = "own"
        # In pipelined timing late labels, and in standard form unknown ones are refused.
        answers = ANSWERS
        if net.timing == "pipelined" and self.chance(0.9):
            answers = tuple(kind for kind in answers if kind != "late")
        if form == "standard" and self.chance(0.9):
            answers = tuple(kind for kind in answers if kind not in ("late", "unknown"))
        is_refused = form == "sample" and net.timing == "pipelined" and self.chance(0.9)
        can_reset = net.arithmetic != "loihi2" and not is_continuous and not is_refused
        resets = self.chance(0.25) and can_reset
        receivers = tuple(kind for kind in RECEIVERS if self.chance(0.4))
        if resets:
            receivers = tuple(kind for kind in receivers if kind != "scores")
        answer = self.one_of(*answers)
        if is_continuous and answer in ("late", "unknown"):  # when they begin again in a sample
            answer = "source"
        nested = self.one_of("all", "used") if self.chance(0.2) else ""
        # A monitor has room for steps that are known before, and Lava sees no variables inside.
        is_watched = not is_continuous and not nested
        return Part(
            net=net,
            form=form,
            input=input_,
            answer=answer,
            resets=resets,
            receivers=receivers,
            monitors=self.monitors(net, form) if is_watched else (),
            nested=nested,
        )

    def monitors(self, net, form):
        L = net.n_layers
        found = [("spike_count", l) for l in range(L + 1)] + [("error", l) for l in range(1, L + 1)]
        if form != "standard":
            found += [("weight", l) for l in layers_with_weights(net)]
        chosen = self.random.permutation(len(found))[: self.one_of(0, 1, 2, 3, 4)]
        return tuple(found[i] for i in sorted(chosen))

    def second(self, tag, first, is_continuous):
        """Return a second network, which the first one drives or which has the same input."""
        # The model of Lava's engine knows whole samples, and runs end with those of the first.
        form = self.one_of(*(FORMS if tag == "floating_pt" else FORMS[:5]))
        is_driven = self.chance(0.7)
        net = self.net(tag, form, first.net.n_outputs if is_driven else first.net.n_inputs)
        # What arrives are real numbers, or more than one spike of a unit.
        net = net.replace(input_coding="values")
        part = replace(self.part(tag, net, form, is_continuous), nested="")
        answer = {"source": "labels", "source_targets": "targets"}.get(part.answer, part.answer)
        return replace(part, input="series" if is_driven else "shared", answer=answer)
