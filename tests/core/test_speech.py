"""Spoken digits: recordings, features, the experiment, and the example."""

import copy
import doctest
import hashlib
import os
import re
import shutil
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from requests.exceptions import ConnectionError as NoConnection

from spikebp_plugins import Checkpoint, load_dataset
from spikebp_plugins.data import filter_bank
from spikebp_plugins.data import speech as recordings
from spikebp_plugins.data.filter_bank import speech_features
from spikebp_plugins.data.speech import load_fsdd
from spikebp_plugins.reproduce import Study, speech
from spikebp_plugins.reproduce.word_learners import LEARNERS, SpikingWords, SpikingWordsTwice
from tests.core.test_cli import run, run_json
from tests.documentation import ROOT
from tests.scripts import printed_by

pytest.importorskip("kaldi_native_fbank", reason="the packages of the extra speech are missing")
soundfile = pytest.importorskip("soundfile", reason="the packages of the extra speech are missing")
soxr = pytest.importorskip("soxr", reason="the packages of the extra speech are missing")

DATA_FOLDER = os.environ.get("SPIKEBP_DATA")


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Keep the user's folder and cache out of the tests."""
    monkeypatch.delenv("SPIKEBP_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.chdir(tmp_path)


def spoken(digit, voice, random, rate=8000):
    """Return the sound of a word between silences; `voice` shifts its pitch by that factor."""
    n = int(rate * random.uniform(0.2, 0.3))
    share = np.linspace(0, 1, n)
    sound = 0.01 * random.randn(n)
    for begin, end in ((300 + 60 * digit, 400), (1000 + 150 * ((7 * digit) % 10), 1600)):
        pitch = voice * (begin + (end - begin) * share)
        sound += 0.2 * np.sin(2 * np.pi * np.cumsum(pitch) / rate)
    silence = np.zeros(rate // 20)
    return np.concatenate([silence, sound, silence])


def write_words(folder, voices, n_each, **options):
    """Write so many words of each digit by every speaker; voices are by name."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(0)
    for name, voice in voices.items():
        for digit in range(10):
            for k in range(n_each):
                sound = spoken(digit, voice, random)
                soundfile.write(folder / f"{digit}_{name}_{k}.wav", sound, 8000, **options)
    return folder


@pytest.fixture
def word():
    return spoken(3, 1.0, np.random.RandomState(1))


# --- features


def test_loudness_and_silence_change_nothing(word):
    x = speech_features(word, 8000)
    assert x.shape == (384,)
    assert x.min() >= 0
    assert x.max() == 1
    np.testing.assert_allclose(speech_features(word / 4096, 8000), x, atol=1e-5)
    np.testing.assert_allclose(speech_features(np.int16(30000 * word), 8000), x, atol=0.05)
    # By whole frames: others would begin elsewhere.
    later = np.concatenate([np.zeros(800), word, np.zeros(4000)])
    assert np.array_equal(speech_features(later, 8000), x)


def test_other_rates_and_stereo_are_the_same_word(word):
    x = speech_features(word, 8000)
    for rate in (16_000, 44_100, 48_000):
        sound = soxr.resample(word, 8000, rate)
        assert np.abs(speech_features(sound, rate) - x).mean() < 0.005
    both = np.stack([1.5 * word, 0.5 * word], axis=1)
    np.testing.assert_allclose(speech_features(both, 8000), x, atol=1e-5)
    assert np.abs(speech_features(word, 8500) - x).mean() > 0.005


def test_features_are_those_of_the_formula(word, monkeypatch):
    bands = np.random.RandomState(0).normal(-10, 4, (30, 32))
    bands[:4] = bands[28:] = -30  # silence at both ends, of 4 frames and 2
    bands[9] = -40  # and noise within
    monkeypatch.setattr(filter_bank, "_bands", lambda _: bands)
    x = speech_features(word, 8000).reshape(12, 32)
    heard = np.maximum(bands[4:28], bands.max() - 10)
    parts = np.array([(heard[2 * k] + heard[2 * k + 1]) / 2 for k in range(12)])
    q = parts - sum(parts) / 24
    np.testing.assert_allclose(x, np.maximum(0, 1 + (q - q.max()) / 6), rtol=1e-12)


@pytest.mark.parametrize("n_frames", [1, 5, 12, 13, 40])
def test_every_frame_counts_alike_whatever_their_number(n_frames):
    frames = np.random.RandomState(0).rand(n_frames, 32)
    parts = filter_bank._means_of_parts(frames)
    assert parts.shape == (12, 32)
    np.testing.assert_allclose(parts.mean(axis=0), frames.mean(axis=0))
    np.testing.assert_allclose(parts[0], frames[: max(1, n_frames // 12)].mean(0), atol=0.1)


@pytest.mark.parametrize("n", [1, 2, 199, 201])
def test_the_shortest_sounds_have_features(n):
    assert np.isfinite(speech_features(np.ones(n), 8000)).all()


@pytest.mark.parametrize(
    ("signal", "rate", "fault"),
    [
        ([], 8000, r"signal must be numbers .* at least one of them; got shape \(0,\)"),
        (np.ones((2, 2, 2)), 8000, r"got shape \(2, 2, 2\)"),
        (["a"], 8000, "signal must be numbers"),
        ([0.0, np.nan], 8000, "signal must be finite; got nan"),
        (np.zeros(9), 8000, "signal must be a sound; got nothing but zeros"),
        ([1.0], 44_100, "signal must be a sound below 4,000 Hz; got none"),
        ([1.0], 0, "rate must be a positive finite number; got 0"),
        ([1.0], "8 kHz", "rate must be a positive finite number; got '8 kHz'"),
    ],
)
def test_what_is_no_sound_is_refused(signal, rate, fault):
    with pytest.raises(ValueError, match=fault):
        speech_features(signal, rate)


def test_a_missing_package_is_named(word, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaldi_native_fbank", None)
    with pytest.raises(ImportError, match=r'kaldi_native_fbank: pip install "spikebp-plugins\[spe'):
        speech_features(word, 8000)


def test_the_code_of_the_docstrings_runs():
    assert doctest.testmod(filter_bank).failed == 0


# --- recordings


def test_recordings_of_all_kinds_are_read(tmp_path, word):
    stereo = np.stack([word, 0 * word], axis=1)
    soundfile.write(tmp_path / "7_ada_1.wav", word, 8000, subtype="PCM_16")
    soundfile.write(tmp_path / "7_ada_10.wav", stereo, 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "0_de_la_cruz_3.WAV", word, 16_000, subtype="PCM_24", format="WAV")
    (tmp_path / "README.md").write_text("none of them")
    words = load_fsdd(tmp_path)
    assert words.labels.tolist() == [0, 7, 7]
    assert words.speakers.tolist() == ["de_la_cruz", "ada", "ada"]
    assert words.rates.tolist() == [16_000, 8000, 44_100]
    for sound, expected, error in zip(
        words.signals, (word, word, word / 2), (1e-6, 5e-5, 1e-7), strict=True
    ):
        np.testing.assert_allclose(sound, expected, atol=error)
    assert words.features().shape == (3, 384)
    assert repr(words) == "SpokenDigits(3 words of 2 speakers)"
    assert len(words) == 3


@pytest.mark.parametrize("name", ["seven_ada_0", "7_ada", "7__0", "17_ada_0", "7_ada_x", "٣_ada_0"])
def test_a_name_of_another_form_is_refused(tmp_path, name):
    (tmp_path / f"{name}.wav").touch()
    with pytest.raises(ValueError, match=f"{name}.wav must be named DIGIT_SPEAKER_INDEX.wav"):
        load_fsdd(tmp_path)


def test_files_that_are_no_recordings_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no recordings .* in {tmp_path}"):
        load_fsdd(tmp_path)
    file = tmp_path / "7_ada_0.wav"
    file.write_bytes(b"RIFF, it seems")
    with pytest.raises(ValueError, match=r"7_ada_0.wav is not a readable WAV file: "):
        load_fsdd(tmp_path)
    soundfile.write(file, np.zeros(0), 8000)
    with pytest.raises(ValueError, match=r"7_ada_0.wav has no sample"):
        load_fsdd(tmp_path)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host that has an archive of two words; return the archive and what was fetched."""
    folder = write_words(tmp_path / "words", {"ada": 1.0}, 1)
    archive, fetched = tmp_path / "archive.zip", []
    with zipfile.ZipFile(archive, "w") as file:
        file.write(ROOT / "README.md", "set-1.0/README.md")
        for path in sorted(folder.glob("[01]*.wav"), reverse=True):
            file.write(path, f"set-1.0/recordings/{path.name}")

    def retrieve(url, known_hash, fname, path, progressbar):
        fetched.append(url)
        Path(path).mkdir(parents=True, exist_ok=True)
        return shutil.copy(archive, Path(path) / fname)

    whole = b"".join(
        path.name.encode() + b"\n" + path.read_bytes() for path in sorted(folder.glob("[01]*.wav"))
    )
    monkeypatch.setattr("pooch.retrieve", retrieve)
    monkeypatch.setattr(recordings, "SHA256", hashlib.sha256(whole).hexdigest())
    return archive, fetched


def test_a_download_fills_the_cache_once(tmp_path, host):
    for _ in range(2):
        assert load_fsdd().labels.tolist() == [0, 1]
    assert load_fsdd(download=False).speakers.tolist() == ["ada", "ada"]
    assert host[1] == [recordings.ARCHIVE]
    kept = {path.name for path in (tmp_path / "cache" / "spikebp-plugins" / "fsdd").iterdir()}
    assert kept == {"0_ada_0.wav", "1_ada_0.wav", "complete"}


def test_an_interrupted_download_is_begun_again(tmp_path, host):
    load_fsdd()
    cache = tmp_path / "cache" / "spikebp-plugins" / "fsdd"
    (cache / "complete").unlink()
    (cache / "0_ada_0.wav").unlink()
    assert load_fsdd().labels.tolist() == [0, 1]


@pytest.mark.parametrize("content", [b"not found", None])
def test_other_contents_are_refused(tmp_path, host, monkeypatch, content):
    if content is None:
        monkeypatch.setattr(recordings, "SHA256", "0" * 64)
    else:
        host[0].write_bytes(content)
    with pytest.raises(ValueError, match=r"what came from https://.* is not fsdd: .*; .*folder="):
        load_fsdd()
    assert not list((tmp_path / "cache" / "spikebp-plugins" / "fsdd").iterdir())


def test_no_network_is_one_sentence_with_a_way_out(tmp_path, monkeypatch):
    def retrieve(*_, **__):
        raise NoConnection("refused")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    with pytest.raises(ConnectionError, match=r"could not fetch fsdd from https://.*; .*folder="):
        load_fsdd()
    with pytest.raises(FileNotFoundError, match="download=True would fetch it"):
        load_fsdd(download=False)
    write_words(tmp_path / "fsdd", {"ada": 1.0}, 1)
    monkeypatch.setenv("SPIKEBP_DATA", str(tmp_path))
    assert len(load_fsdd()) == 10


@pytest.mark.skipif(
    not DATA_FOLDER or not Path(DATA_FOLDER, "fsdd").is_dir(), reason="SPIKEBP_DATA has no fsdd"
)
def test_the_data_set_is_what_it_says(monkeypatch):
    monkeypatch.setenv("SPIKEBP_DATA", DATA_FOLDER)
    words = load_fsdd()
    assert set(words.rates.tolist()) == {8000}
    for name in set(words.speakers):
        assert np.bincount(words.labels[words.speakers == name]).tolist() == [50] * 10


# --- the experiment

VOICES = {"ada": 1.0, "bert": 1.06, "cem": 0.94}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_words(tmp_path_factory.mktemp("speech") / "fsdd", VOICES, 3)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(speech, "WORDS", (0, 10, 20))
    monkeypatch.setattr(speech, "HIDDEN_LAYERS", (20,))


@pytest.fixture
def study(folder, short, tmp_path):
    return Study(speech.load(folder), tmp_path, seed=2)


def test_speakers_are_heard_by_all_learners(folder, short, tmp_path):
    options = ("--quick", "--folder", str(folder), "--output", "s.png", "--seed", "4")
    result = run_json("reproduce", "speech", *options)
    assert result["title"] == "fsdd, 3 speakers, one of them new"
    there = [learner for learner in LEARNERS if learner.is_there()]
    assert [row["learner"] for row in result["rows"]] == [learner.name for learner in there]
    assert find_spec("torch") or any("PyTorch is not installed" in note for note in result["notes"])
    n_weights = 384 * 20 + 20 * 10
    parameters = {"spiking": n_weights, "SGDClassifier": 385 * 10}
    for row in result["rows"]:
        kind = row["learner"].split()[0]
        assert row["parameters"] == parameters.get(kind, n_weights + 30)  # with biases
        assert row["after 20, %"] == pytest.approx(np.mean(row["each speaker, %"]))
        assert row["µs a word"] > 0
    assert result["rows"][0]["after 20, %"] > 80
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def test_words_come_in_rounds_and_others_are_tested(short):
    labels = np.tile(np.arange(10), 6)
    of_speaker = np.arange(60) < 40
    learned, tested = speech.words_to_learn(labels, of_speaker, seed=3)
    for start in (0, 10):
        assert sorted(labels[learned[start : start + 10]]) == list(range(10))
    assert sorted([*learned, *tested]) == list(range(40))
    assert not np.array_equal(learned, speech.words_to_learn(labels, of_speaker, seed=4)[0])


def test_rates_are_chosen_without_the_new_speaker(study, monkeypatch):
    trials = speech.Trials(study, study.data, SpikingWords)
    best, heard = SpikingWords.rates[4], []

    def hears(new, left_out, rates, seed):
        heard.append((new, left_out, seed))
        return speech.SpeakerResult(np.array([50, 60 if rates == best else 40]), 1e-3, 10)

    monkeypatch.setattr(trials, "heard", hears)
    assert trials.best_rates("bert") == best
    assert heard[:2] == [("ada", {"ada", "bert"}, 2), ("cem", {"bert", "cem"}, 2)]
    assert len(heard) == 2 * len(SpikingWords.rates)
    trials.best_rates("ada")
    assert len(heard) == 4 * len(SpikingWords.rates)


def test_words_are_scaled_by_those_of_known_speakers(study):
    def trained(study, hidden, rate):
        data = study.data
        assert (data.name, rate, study.seed) == ("fsdd without ada and cem", 0.3, 5)
        np.testing.assert_allclose(data.x_train.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(data.x_train.std(axis=0), 1)
        assert (len(data.x_train), len(data.x_test)) == (30, 60)
        raise RuntimeError("seen")

    learner = type("Learner", (SpikingWords,), {"trained": trained})
    with pytest.raises(RuntimeError, match="seen"):
        speech.Trials(study, study.data, learner).heard(
            "ada", {"cem", "ada"}, speech.Rates(0.3, 0.4), 5
        )


def test_the_spiking_network_learns_what_the_simulator_learns(study):
    rates = SpikingWords.rates[0]
    trials = speech.Trials(study, study.data, SpikingWords)
    heard = trials.heard("ada", {"ada"}, rates, 2)
    twice = speech.Trials(study, study.data, SpikingWordsTwice).heard("ada", {"ada"}, rates, 2)
    again = speech.Trials(study, study.data, SpikingWords).heard("ada", {"ada"}, rates, 2)
    assert np.array_equal(heard.accuracies, again.accuracies)
    x, y = study.data.x_train, study.data.y_train
    known = study.data.speakers != "ada"
    x = (x - x[known].mean(axis=0)) / x[known].std(axis=0)
    (path,) = study.folder.glob("*.npz")
    with Checkpoint.load(path).at_rate(rates.new).simulate() as sim:
        learned, tested = speech.words_to_learn(y[~known], ~known[~known], 2)
        simulators = [sim, copy.copy(sim)]
        for n_times, sim, result in zip((1, 2), simulators, (heard, twice), strict=True):
            accuracies = []
            for n in (0, 10, 20):
                new = np.repeat(learned[max(0, n - 10) : n], n_times)
                sim.train(x[~known][new], y[~known][new])
                right = sim.predict(x[~known][tested]).argmax(axis=1) == y[~known][tested]
                accuracies.append(100 * right.mean())
            assert result.accuracies.tolist() == pytest.approx(accuracies)


def test_data_that_do_not_serve_are_refused(study, folder, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"data must be spoken words, .*; got 'digits'"):
        speech.run(Study(load_dataset("digits"), tmp_path))
    message = "dataset must be left out for speech, which has its own; got digits"
    assert message in run("reproduce", "speech", "--dataset", "digits", exit_code=2).stderr
    monkeypatch.setattr(speech, "WORDS", (0, 30))
    with pytest.raises(ValueError, match=r"more than 3 words of each digit .* got 3 of 0 by ada"):
        speech.run(study)
    monkeypatch.setattr(speech, "WORDS", (0, 20))
    monkeypatch.setattr(speech, "FEWEST_SPEAKERS", 4)
    with pytest.raises(ValueError, match="words of at least 4 speakers; got those of ada, bert, c"):
        speech.run(study)


# --- the example


@pytest.mark.thorough
def test_the_example_learns_a_new_speaker(folder, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    options = ("--folder", str(folder), "--speaker", "bert", "--words", "20", "--save", "b.npz")
    printed = printed_by(ROOT / "examples" / "spoken_digits.py", tmp_path, *options)
    assert "learned 60 words of 2 speakers: now bert" in printed
    rows = re.findall(r"^ *(\d+) words of bert: +([\d.]+) % of 10 others", printed, re.MULTILINE)
    assert [int(n) for n, _ in rows] == [0, 10, 20]
    assert float(rows[-1][1]) >= 80
    assert {path.name for path in tmp_path.iterdir()} == {"b.npz", "spoken_digits.png"}
