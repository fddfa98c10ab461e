"""A wearable that has learned the heartbeats of others learns those of its wearer, beat by beat.

Ectopic beats are wide, and lack the small wave before them. Ten persons have usual hearts; with
that of the wearer ordinary beats are wide too, so that a network that knows the ten takes them for
ectopic ones. Then somebody names some beats, and each is learned once; with ``--board`` also on an
emulated Cortex-M3 (``board/emulated.py`` names what it needs).
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from board import emulated

from spikebp_plugins import Simulator, SpikingMLP, WindowEncoder

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--board", action="store_true", help="let an emulated board learn them too")
options = parser.parse_args()
if options.board and (reason := emulated.why_no_board()) is not None:
    parser.error(reason)
random = np.random.RandomState(0)

TIMES = np.arange(-38, 58) / 128  # of the readings around a peak, in seconds
#: Of each wave of a beat: its time in seconds, its height in millivolts, and its width.
USUAL, BLOCK, ECTOPIC = np.array([
    [(-.16, .15, .022), (-.035, -.1, .01), (0, 1.0, .012), (.04, -.2, .012), (.25, .3, .045)],
    [(-.16, .15, .022), (-.035, 0, .01), (0, .8, .03), (.05, .3, .03), (.25, -.2, .045)],
    [(-.16, 0, .022), (-.035, .2, .03), (0, 1.1, .04), (.08, -.3, .03), (.3, -.3, .06)],
])  # fmt: skip


def person(ordinary):
    """Return the waves of an ordinary and of an ectopic beat of a person."""
    return [waves * random.uniform(0.85, 1.15, waves.shape) for waves in (ordinary, ECTOPIC)]


def beats(who, n):
    """Return beats of shape (n, len(TIMES), 1), and whether each is ectopic."""
    labels = (random.uniform(size=n) < 0.3).astype(int)
    at, height, width = np.moveaxis(np.array(who)[labels], 2, 0)[..., np.newaxis]
    waves = height * np.exp(-(((TIMES - at) / width) ** 2) / 2)
    drift = 0.1 * random.normal(size=(n, 1)) + 0.01 * random.normal(size=(n, len(TIMES)))
    return (waves.sum(axis=1) + drift)[..., np.newaxis], labels


encoder = WindowEncoder(1, len(TIMES), levels=16, coding="signed", low=-1.5, high=1.5)
net = SpikingMLP.graded((encoder.n_inputs, 100, 50, 2), input_scale=1 / 8)


def encoded(readings):  # a window is a beat: the next one begins anew
    return np.concatenate([encoder.encode(beat) for beat in readings])


def right(readings, labels):
    return f"{100 * np.mean(sim.predict(encoded(readings)).argmax(axis=1) == labels):5.1f} %"


with Simulator(net) as sim:
    x, y = map(np.concatenate, zip(*(beats(person(USUAL), 200) for _ in range(10)), strict=True))
    order = random.permutation(len(y))
    sim.train(encoded(x[order]), y[order])
    before, known, wearer = sim.checkpoint(), beats(person(USUAL), 500), person(BLOCK)
    (x, y), to_test = beats(wearer, 100), beats(wearer, 500)
    print(f"right before: {right(*known)} of a usual heart, {right(*to_test)} of the wearer")
    for readings, label in zip(x, y, strict=True):
        encoder.reset()
        sim.stream(encoder).feed(readings, target=int(label))
    print(f"after 100 beats of the wearer: {right(*known)} and {right(*to_test)}")
    with sim.checkpoint().simulate() as watch:  # a window for each reading, which overlap
        watch.predict(encoder.encode(to_test[0].reshape(-1, 1)))
        share = watch.work.multiply_adds / watch.operations.multiply_adds
    print(f"windows moved by a reading take {100 * share:.0f} % of the multiply-adds in full")
    if options.board:
        with TemporaryDirectory() as folder:
            board = emulated.Board(before, Path(folder))
            board.train(encoded(x), y)
        same = all(map(np.array_equal, sim.weights, board.checkpoint().state.weights))
        print(f"on the board: {board.learned.to_learn:,.0f} instructions a beat; the same: {same}")
