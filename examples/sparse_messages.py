"""A spiking network learns messages as they come, from the words that they have.

Words are hashed into 16,384 inputs, of which a message has a few: its row is a sparse matrix. The
network first predicts what kind of message it is, then is told, and learns. A file has a message a
line, its label, a tab and its text, as the SMS spam collection has them. Without a file there are
messages of two kinds, in which the same words are more and less frequent; many are rare, and some
come once. Writes nothing, and takes a few seconds::

    python examples/sparse_messages.py
    python examples/sparse_messages.py --file SMSSpamCollection --messages 5574
"""

import argparse

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from spikebp_plugins import SpikingMLPClassifier

WORDS, CHANCE_OF_OFFER = 2000, 0.3


def made(n_messages):
    """Return labels and texts: of each kind some words are frequent, and most are rare."""
    random = np.random.RandomState(0)
    frequency = np.exp(random.standard_normal((2, WORDS))) / np.arange(1, WORDS + 1)
    frequency /= frequency.sum(axis=1, keepdims=True)
    messages = []
    for i in range(n_messages):
        is_offer = random.rand() < CHANCE_OF_OFFER
        words = random.choice(WORDS, random.randint(8, 25), p=frequency[int(is_offer)])
        text = " ".join([f"word{word}" for word in words] + [f"name{i}"])
        messages.append(("offer" if is_offer else "news", text))
    return messages


def in_file(path, n_messages):
    """Return the labels and texts of the first lines of a file."""
    with open(path, encoding="utf-8") as lines:
        return [line.split("\t", 1) for line in lines if "\t" in line][:n_messages]


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--file", help="messages: a line has a label, a tab, and a text")
parser.add_argument("--messages", type=int, default=2000, help="the first so many of them")
options = parser.parse_args()
messages = in_file(options.file, options.messages) if options.file else made(options.messages)
if len(messages) < 2:
    parser.error(f"there must be at least 2 messages, got {len(messages)}")
labels, texts = zip(*messages, strict=True)
kinds = sorted(set(labels))
# That a word is there counts, not how often. Features are scaled by the network.
words = HashingVectorizer(n_features=2**14, binary=True, norm=None, alternate_sign=False)
network = SpikingMLPClassifier(random_state=0)

right = np.zeros(len(texts), bool)
for i, (label, text) in enumerate(zip(labels, texts, strict=True)):
    row = words.transform([text])
    if i > 0:  # before the first there is nothing to predict with
        right[i] = network.predict(row)[0] == label
    network.partial_fit(row, [label], classes=kinds)

shares = ", ".join(f"{100 * labels.count(kind) / len(labels):.0f} % {kind}" for kind in kinds)
print(f"{len(texts)} messages, each predicted before it was learned; {shares}")
window = max(1, len(texts) // 10)
for start in range(0, len(texts), window):
    part = right[start : start + window]
    bar = "#" * round(50 * part.mean())
    print(f"{start:5} to {start + len(part) - 1:5}: {100 * part.mean():5.1f} % {bar}")
