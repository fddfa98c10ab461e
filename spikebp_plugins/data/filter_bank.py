r"""The energies of a word of speech in bands of pitch, as one vector of fixed size.

A bank of triangular filters, as wide as bands of hearing (mel), gives the logarithm
:math:`\ell_{tb}` of the energy of band b in frame t, of 25 ms every 10 ms. With the largest one of
the word, :math:`\ell^*`, in nats:

1. Frames at both ends are silence while the energy of all their bands together is more than 3 nats
   (13 dB) below that of the loudest frame. They are left out.
2. :math:`\ell_{tb}` is at least :math:`\ell^* - 10`: what is softer is noise.
3. The word is cut into 12 parts of equal length, whatever its own. :math:`p_{kb}` is the mean of
   band b in part k.
4. Half of the mean over the word is taken off each band, and with it half of what voice, room and
   microphone add to it all the time:

   .. math::

       q_{kb} = p_{kb} - \tfrac12 \operatorname{mean}_{k'} p_{k'b}, \qquad
       x_{kb} = \max\bigl(0, 1 + (q_{kb} - \max q) / 6\bigr)

The vector does not depend on how loud the word is, nor on silence around it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikebp_plugins.common.errors import REALS, array_of, finite, positive, wrong_argument

Array = NDArray[np.float64]

#: Parts of a word, and bands of each: the features of a word are read part by part.
N_PARTS: Final = 12
N_BANDS: Final = 32

#: Samples a second to which all sound is converted, and the pitches that bands cover, in Hz: those
#: that every telephone carries, so that recordings of all kinds can be compared.
RATE: Final = 8_000
LOWEST_PITCH: Final = 60
HIGHEST_PITCH: Final = 3_800

#: Milliseconds of a frame, and from one to the next.
FRAME_LENGTH: Final = 25
FRAME_SHIFT: Final = 10

#: Samples of one frame: shorter sound is followed by silence.
SHORTEST: Final = RATE * FRAME_LENGTH // 1_000

#: Nats below the loudest frame at which silence begins, and below the loudest band at which noise
#: does; nats from 0 to 1 of a feature; the share of a band's mean that is taken off.
SILENCE: Final = 3.0
NOISE: Final = 10.0
SPAN: Final = 6.0
SHARE: Final = 0.5


def speech_features(signal: ArrayLike, rate: float) -> Array:
    """Return the features of a spoken word: a vector as long for every word.

    Parameters
    ----------
    signal : array-like of shape (n_samples,) or (n_samples, n_channels)
        The sound of one word, of any loudness; silence before and after it does no harm. Channels
        are averaged.
    rate : float
        Samples a second. Sound of another rate than 8,000 is resampled.

    Returns
    -------
    ndarray of shape (384,)
        From 0 to 1: the 32 bands, from low to high, of each of 12 parts of the word, one after the
        other. ``x.reshape(12, 32)`` is an image of it.

    Raises
    ------
    ImportError
        Without the packages of ``pip install "spikebp-plugins[speech]"``.
    ValueError
        If the signal is not finite, has no sample, or is nothing but zeros.

    Examples
    --------
    >>> time = np.arange(8000) / 8000
    >>> tone = np.sin(2 * np.pi * 440 * time)
    >>> x = speech_features(tone, 8000)
    >>> x.shape, int(x.reshape(12, 32).mean(axis=0).argmax())
    ((384,), 7)
    """
    sound = _mono(signal)
    rate = positive("rate", rate)
    if rate != RATE:
        sound = speech_package("soxr").resample(sound, rate, RATE)
        if not sound.any():
            raise wrong_argument("signal", "a sound below 4,000 Hz", "none")
    sound = np.pad(sound, (0, max(0, SHORTEST - len(sound))))
    bands = _bands(sound / np.abs(sound).max())
    # Energies of all bands together, in the logarithm: exponentials of single ones may be 0.
    loudness = np.logaddexp.reduce(bands, axis=1)
    heard = np.flatnonzero(loudness > loudness.max() - SILENCE)
    word = np.maximum(bands[heard[0] : heard[-1] + 1], bands.max() - NOISE)
    parts = _means_of_parts(word)
    parts -= SHARE * parts.mean(axis=0)
    features: Array = np.maximum(0, 1 + (parts - parts.max()) / SPAN)
    return features.ravel()


def speech_package(name: str) -> Any:
    """Return a package that only speech needs."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f'speech needs the package {name}: pip install "spikebp-plugins[speech]"'
        ) from error


def _mono(signal: ArrayLike) -> Array:
    allowed = "numbers of shape (n_samples,) or (n_samples, n_channels), at least one of them"
    array = array_of("signal", signal, REALS, allowed)
    if array.ndim not in (1, 2) or not array.size:
        raise wrong_argument("signal", allowed, f"shape {array.shape}")
    sound = finite("signal", array).astype(np.float64)
    if sound.ndim == 2:
        sound = sound.mean(axis=1)
    if not sound.any():
        raise wrong_argument("signal", "a sound", "nothing but zeros")
    return sound


def _bands(sound: Array) -> Array:
    """Return logarithms of energies, of shape (n_frames, n_bands), for sound from -1 to 1."""
    library = speech_package("kaldi_native_fbank")
    options = library.FbankOptions()
    frames, filters = options.frame_opts, options.mel_opts
    frames.samp_freq, frames.dither, frames.snip_edges = RATE, 0, False
    frames.frame_length_ms, frames.frame_shift_ms = FRAME_LENGTH, FRAME_SHIFT
    filters.num_bins, filters.low_freq, filters.high_freq = N_BANDS, LOWEST_PITCH, HIGHEST_PITCH
    bank = library.OnlineFbank(options)
    # The library's floor for the logarithm is made for samples of 16 bits.
    bank.accept_waveform(RATE, (sound * 2**15).tolist())
    bank.input_finished()
    return np.array([bank.get_frame(t) for t in range(bank.num_frames_ready)], np.float64)


def _means_of_parts(word: Array) -> Array:
    """Return means over equal parts of time, of shape (n_parts, n_bands); a frame may be shared."""
    sums = np.pad(np.cumsum(word, axis=0), ((1, 0), (0, 0)))
    borders = np.linspace(0, len(word), N_PARTS + 1)
    before = borders.astype(int).clip(max=len(word) - 1)
    up_to = sums[before] + (borders - before)[:, np.newaxis] * word[before]
    means: Array = np.diff(up_to, axis=0) * (N_PARTS / len(word))
    return means
