"""A wearable that has learned the heartbeats of others learns those of its wearer, beat by beat.

An electrode on the chest tells ordinary beats from ectopic ones, which come too early from a
ventricle: wide, and without the small wave before them. Ten persons have hearts of the usual kind.
The eleventh has a bundle branch block, with which ordinary beats are wide too: a network that has
learned from the ten takes them for ectopic ones. Then somebody names the beats of the eleventh,
each is learned once, and the next ones are known. The readings are made here. Takes a second, and
writes nothing::

    python examples/wearable.py
"""

import argparse

import numpy as np

from spikebp_plugins import Simulator, SpikingMLP, WindowEncoder

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--beats", type=int, default=100, help="of the wearer, each learned once")
parser.add_argument("--seed", type=int, default=0, help="of persons, readings and weights")
options = parser.parse_args()
random = np.random.RandomState(options.seed)

RATE, LENGTH = 128, 96  # readings a second, and readings around a beat
TIMES = np.arange(LENGTH) / RATE - 0.3  # seconds from its peak on
#: Of each wave: its time in seconds, its height in millivolts, and its width.
USUAL = np.array([(-0.16, 0.15, 0.022), (-0.035, -0.1, 0.01), (0, 1.0, 0.012), (0.04, -0.2, 0.012),
                  (0.25, 0.3, 0.045)])  # fmt: skip
BLOCK = np.array([(-0.16, 0.15, 0.022), (-0.035, 0.0, 0.01), (0, 0.8, 0.03), (0.05, 0.3, 0.03),
                  (0.25, -0.2, 0.045)])  # fmt: skip
ECTOPIC = np.array([(-0.16, 0, 0.022), (-0.035, 0.2, 0.03), (0, 1.1, 0.04), (0.08, -0.3, 0.03),
                    (0.3, -0.3, 0.06)])  # fmt: skip


def person(ordinary):
    """Return the waves of an ordinary and of an ectopic beat of a person."""
    return [waves * random.uniform(0.85, 1.15, waves.shape) for waves in (ordinary, ECTOPIC)]


def beats(who, n):
    """Return beats of shape (n, LENGTH, 1), and whether each is ectopic."""
    labels = (random.uniform(size=n) < 0.3).astype(int)
    at, height, width = np.moveaxis(np.array(who)[labels], 2, 0)[..., np.newaxis]
    waves = height * np.exp(-(((TIMES - at) / width) ** 2) / 2)
    drift = 0.1 * random.normal(size=(n, 1)) + 0.02 * random.normal(size=(n, LENGTH))
    return (waves.sum(axis=1) + drift)[..., np.newaxis], labels


# A window is a beat: the next one begins anew.
encoder = WindowEncoder(1, LENGTH, levels=32, coding="signed", low=-1.5, high=1.5)
net = SpikingMLP.graded((encoder.n_inputs, 100, 50, 2), input_scale=1 / 16)


def encoded(readings):
    return np.concatenate([encoder.encode(beat) for beat in readings])


with Simulator(net) as sim:
    x, y = map(np.concatenate, zip(*(beats(person(USUAL), 200) for _ in range(10)), strict=True))
    order = random.permutation(len(y))
    sim.train(encoded(x[order]), y[order])
    known, wearer = beats(person(USUAL), 500), person(BLOCK)
    to_learn, to_test = beats(wearer, options.beats), beats(wearer, 500)

    def right(readings, labels):
        return 100 * np.mean(sim.predict(encoded(readings)).argmax(axis=1) == labels)

    print(f"an eleventh usual heart: {right(*known):5.1f} % of 500 beats are right")
    print(f"the wearer, before:      {right(*to_test):5.1f} %")
    stream = sim.stream(encoder)
    for readings, label in zip(*to_learn, strict=True):
        encoder.reset()
        stream.feed(readings, target=int(label))
    print(f"the wearer, after {options.beats}:  {right(*to_test):5.1f} %")
    print(f"the usual heart, after:  {right(*known):5.1f} %")
