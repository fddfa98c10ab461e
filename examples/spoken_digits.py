"""Spoken digits: a network that knows some speakers learns a new one, a word at a time.

Give it a folder of recordings, one word each, named DIGIT_SPEAKER_INDEX.wav: 7_ada_0.wav is the
first seven of Ada. Any rate, stereo, integers and floating point are fine. Without ``--folder`` the
Free Spoken Digit Dataset is taken, from ``$SPIKEBP_DATA/fsdd`` or downloaded once. One speaker is
left out, the one named by ``--speaker`` or the last; the network learns all others, and then words
of the new one, each once. After every word it is asked for those that it has not learned of them.
Recordings of your own, in the same folder as the data set, make you the new speaker.
Takes half a minute, and draws the picture ``spoken_digits.png``::

    pip install "spikebp-plugins[speech,plot]"
    python examples/spoken_digits.py --speaker jackson
    python examples/spoken_digits.py --folder my_recordings --speaker ada --words 30
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from spikebp_plugins import SpikingMLPClassifier
from spikebp_plugins.data.speech import load_fsdd

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--folder", help="folder of recordings; the data set without it")
parser.add_argument("--speaker", help="the new speaker; the last by name without it")
parser.add_argument("--words", type=int, default=100, help="words of the new speaker to learn")
parser.add_argument(
    "--epochs", type=int, default=10, help="how often the others' words are learned"
)
parser.add_argument("--seed", type=int, default=0, help="of the orders and the weights")
parser.add_argument("--output", type=Path, default=Path("spoken_digits.png"), help="the picture")
parser.add_argument("--save", help="keep what was learned in this file, a checkpoint")
options = parser.parse_args()

words = load_fsdd(options.folder)
speakers = sorted(set(words.speakers))
new = speakers[-1] if options.speaker is None else options.speaker
if new not in speakers or len(speakers) == 1:
    parser.error(f"--speaker must be one of several in the folder, which has {', '.join(speakers)}")
X, y = words.features(), words.labels
is_new = words.speakers == new

# Rounds of all digits, each in an order of its own; what is left over is never learned.
random = np.random.RandomState(options.seed)
digits = np.unique(y[is_new])
of_digits = {digit: random.permutation(np.flatnonzero(is_new & (y == digit))) for digit in digits}
rounds = range(min(len(some) for some in of_digits.values()))
in_turn = [of_digits[digit][k] for k in rounds for digit in random.permutation(digits)]
to_learn = np.array(in_turn[: options.words])
others = np.setdiff1d(np.flatnonzero(is_new), to_learn)
if not others.size:
    parser.error(f"--words must leave some of the {is_new.sum()} words of {new} to test on")

model = SpikingMLPClassifier(max_iter=options.epochs, random_state=options.seed)
model.fit(X[~is_new], y[~is_new])
print(f"learned {len(X) - is_new.sum()} words of {len(speakers) - 1} speakers: now {new}")

# The rate would follow the errors on new words after some of them. One word is to count already.
model.set_params(learning_rate=0.4)
accuracies = [100 * model.score(X[others], y[others])]
for i in to_learn:
    model.partial_fit(X[[i]], y[[i]])
    accuracies.append(100 * model.score(X[others], y[others]))
for n in sorted({0, 10, 20, 50, len(to_learn)}):
    if n < len(accuracies):
        print(f"{n:4} words of {new}: {accuracies[n]:5.1f} % of {len(others)} others recognized")
if options.save:
    model.checkpoint_.save(options.save)

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.plot(accuracies)
axes.set_xlabel(f"words of {new} learned, each once")
axes.set_ylabel(f"of {len(others)} others recognized, %")
figure.savefig(options.output)
print(f"picture: {options.output}")
