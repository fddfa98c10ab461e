r"""Speech that adapts: digits of a speaker never heard, before and after some words of theirs.

One speaker is left out. Learners are trained on the words of all others, and then hear words of
the new one, one at a time and each once: rounds of the ten digits, in an order that is drawn. What
they have not heard of this speaker, and never will, says how many they recognize.

Features are scaled by mean and deviation over the words of the known speakers alone. Learning rates
too are chosen without the new speaker: by the mean accuracy over the same numbers of words where
each of the known ones is left out in turn, and stands for the new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.data.filter_bank import N_BANDS, N_PARTS
from spikebp_plugins.data.images import N_CLASSES, Dataset, error_percent
from spikebp_plugins.data.speech import NAME, load_fsdd
from spikebp_plugins.reproduce.study import Report, Study
from spikebp_plugins.reproduce.word_learners import LEARNERS, Rates, WordLearner

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]

HIDDEN_LAYERS: Final = (100,)

#: How many words of the new speaker were learned when the others are tested.
WORDS: Final = (0, 10, 20, 50, 100)

#: Fewer could not be left out in pairs.
FEWEST_SPEAKERS: Final = 3

#: Runs, each with initial weights and orders of its own.
SEEDS: Final = 3


@dataclass(frozen=True, eq=False)
class WordsOfSpeakers(Dataset):
    """Features of words as images, of parts by bands; all are there to train on, none to test.

    Parameters
    ----------
    speakers : ndarray of shape (n_train,), of str
        Who spoke each.
    """

    speakers: NDArray[np.str_]

    @property
    def names(self) -> list[str]:
        """The speakers, sorted."""
        return sorted(set(self.speakers.tolist()))


def load(folder: Path | None) -> WordsOfSpeakers:
    """Return the features of recordings named DIGIT_SPEAKER_INDEX.wav."""
    words = load_fsdd(folder)
    x, shape = words.features(), (N_PARTS, N_BANDS)
    none = x[:0], words.labels[:0]
    return WordsOfSpeakers(
        NAME if folder is None else folder.resolve().name,
        x,
        words.labels,
        *none,
        N_CLASSES,
        1.0,
        shape,
        speakers=words.speakers,
    )


class SpeakerResult(NamedTuple):
    """The results of a learner on the words of a new speaker.

    Attributes
    ----------
    accuracies : ndarray of shape (n_words,)
        In percent, after each number of `WORDS`.
    seconds : float
        Time to learn a word.
    n_parameters : int
        The number of parameters of the learner.
    """

    accuracies: Array
    seconds: float
    n_parameters: int


def run(study: Study) -> Report:
    """Train all installed learners, and let them learn from the words of each new speaker."""
    data = _checked(study.data)
    learners = [learner for learner in LEARNERS if learner.is_there()]
    seeds = range(study.seed, study.seed + (1 if study.quick else SEEDS))
    rows = [_row(Trials(study, data, learner), seeds) for learner in learners]

    def draw(figure: Figure) -> None:
        axes, last = figure.subplots(1, 2, width_ratios=(3, 2))
        for i, row in enumerate(rows):
            means = [row[_recognized(n)] for n in WORDS]
            axes.plot(WORDS, means, "o-", color=f"C{i}", label=row["learner"])
            last.plot(row["each speaker, %"], data.names, "o", color=f"C{i}")
        axes.set_xlabel("words of a new speaker learned")
        axes.set_ylabel("others recognized, %")
        axes.legend()
        last.set_xlabel(f"recognized after {WORDS[-1]} words, %")

    notes = [
        f"Mean of {len(seeds)} runs with each speaker left out; each word comes once.",
        f"Each speaker, after {WORDS[-1]} words: {', '.join(data.names)}.",
        "µs a word: the time that learning one took in this run.",
        *(f"{one.name} is not installed." for one in LEARNERS if one not in learners),
    ]
    title = f"{data.name}, {len(data.names)} speakers, one of them new"
    return Report(title, rows, notes, draw)


def _checked(data: Dataset) -> WordsOfSpeakers:
    if not isinstance(data, WordsOfSpeakers):
        raise wrong_argument("data", "spoken words, as `load` returns them", repr(data.name))
    few = WORDS[-1] // data.n_classes
    for name in data.names:
        counts = np.bincount(data.y_train[data.speakers == name], minlength=data.n_classes)
        if counts.min() <= few:
            allowed = f"more than {few} words of each digit by each speaker"
            raise wrong_argument("data", allowed, f"{counts.min()} of {counts.argmin()} by {name}")
    if len(data.names) < FEWEST_SPEAKERS:
        allowed = f"words of at least {FEWEST_SPEAKERS} speakers"
        raise wrong_argument("data", allowed, f"those of {', '.join(data.names)}")
    return data


def words_to_learn(
    labels: NDArray[np.int64], of_speaker: NDArray[np.bool_], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the words to learn, in that order, and of those to test.

    Parameters
    ----------
    labels : ndarray of shape (n_words,)
        The digits of the words of all speakers.
    of_speaker : ndarray of shape (n_words,), bool
        Which of them are the new speaker's.
    seed : int
        Seed of all that is drawn.

    Returns
    -------
    ndarray of shape (WORDS[-1],), ndarray of shape (n_others,)
        Rounds of all digits, each round in an order of its own; and the speaker's other words.
    """
    random = np.random.RandomState([seed, N_CLASSES])  # epochs are drawn from [seed, 0], ..
    rounds = WORDS[-1] // N_CLASSES
    of_digits = [
        random.permutation(np.flatnonzero(of_speaker & (labels == digit)))
        for digit in range(N_CLASSES)
    ]
    learned = [
        of_digits[digit][k] for k in range(rounds) for digit in random.permutation(N_CLASSES)
    ]
    return np.array(learned), np.concatenate([words[rounds:] for words in of_digits])


class Trials:
    """Trials of one kind of learner with new speakers; results are computed once and kept.

    Parameters
    ----------
    study : Study
        Seed, and the folder of trained networks.
    data : WordsOfSpeakers
        The words of all speakers.
    learner : type of WordLearner
        The kind of learner.
    """

    def __init__(self, study: Study, data: WordsOfSpeakers, learner: type[WordLearner]) -> None:
        self._study, self.data, self.learner = study, data, learner
        self._trained: dict[Any, WordLearner] = {}
        self._scores: dict[Any, float] = {}

    def best_rates(self, speaker: str) -> Rates:
        """Return the rates that are best with the others as new speakers, one after the other."""
        choices = self.learner.rates
        if self._study.quick:
            return choices[0]
        others = [other for other in self.data.names if other != speaker]
        return max(
            choices, key=lambda rates: sum(self._score(other, speaker, rates) for other in others)
        )

    def _score(self, new: str, besides: str, rates: Rates) -> float:
        key = new, besides, rates
        if key not in self._scores:
            heard = self.heard(new, {new, besides}, rates, self._study.seed)
            self._scores[key] = float(heard.accuracies.mean())
        return self._scores[key]

    def heard(self, new: str, left_out: set[str], rates: Rates, seed: int) -> SpeakerResult:
        """Let a learner that was trained without some speakers hear one of them."""
        data = self._without(left_out)
        learner = self._learner(data, rates.known, seed).at_rate(rates.new)
        x, y = data.x_test, data.y_test
        of_new = self.data.speakers[np.isin(self.data.speakers, sorted(left_out))] == new
        learned, tested = words_to_learn(y, of_new, seed)
        accuracies, seconds, done = [], 0.0, 0
        for n in WORDS:
            begin = perf_counter()
            for i in learned[done:n]:
                learner.learn(x[i], int(y[i]))
            seconds += perf_counter() - begin
            accuracies.append(100 - error_percent(learner.scores(x[tested]), y[tested]))
            done = n
        return SpeakerResult(np.array(accuracies), seconds / len(learned), learner.n_parameters)

    def _without(self, left_out: set[str]) -> Dataset:
        """Return the words of known speakers to train on, and those of the others to test on."""
        data = self.data
        unknown = np.isin(data.speakers, sorted(left_out))
        x = data.x_train[~unknown]
        deviation = x.std(axis=0)
        scaled = (data.x_train - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
        return Dataset(
            f"{data.name} without {' and '.join(sorted(left_out))}",
            scaled[~unknown],
            data.y_train[~unknown],
            scaled[unknown],
            data.y_train[unknown],
            data.n_classes,
            data.input_scale,
            data.image_shape,
        )

    def _learner(self, data: Dataset, rate: float, seed: int) -> WordLearner:
        key = data.name, rate, seed
        if key not in self._trained:
            study = replace(self._study, data=data, seed=seed)
            self._trained[key] = self.learner.trained(study, HIDDEN_LAYERS, rate)
        return self._trained[key]


def _recognized(n_words: int) -> str:
    """Return the name of a column."""
    return f"after {n_words}, %"


def _row(trials: Trials, seeds: Sequence[int]) -> dict[str, Any]:
    names = trials.data.names
    rates = {name: trials.best_rates(name) for name in names}
    heard = [[trials.heard(name, {name}, rates[name], seed) for seed in seeds] for name in names]
    accuracies = np.array([[one.accuracies for one in runs] for runs in heard])
    means = accuracies.mean(axis=(0, 1)).tolist()
    return {
        "learner": trials.learner.name,
        **{_recognized(n): mean for n, mean in zip(WORDS, means, strict=True)},
        "each speaker, %": accuracies[:, :, -1].mean(axis=1).tolist(),
        "parameters": heard[0][0].n_parameters,
        "µs a word": 1e6 * float(np.mean([one.seconds for runs in heard for one in runs])),
        "rates": "; ".join(sorted({f"{one.known:g}, {one.new:g}" for one in rates.values()})),
    }
