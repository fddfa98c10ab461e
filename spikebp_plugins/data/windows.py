r"""Readings of sensors, and the encoding of the last of them as input of a network.

A reading x of a channel becomes a level from 0 to `levels`, the number of thresholds below it:

.. math::

    t_k = \mathrm{low} + k \, \frac{\mathrm{high} - \mathrm{low}}{\mathrm{levels} + 1}, \qquad
    \mathrm{level} = \#\{k \in 1 .. \mathrm{levels} : x > t_k\}

A level becomes some bytes, as `coding` says. The bytes of a window are those of its readings, the
oldest first, of each reading those of its channels in turn. So a window that moves by one reading
moves by the bytes of one reading, and windows of one recording lie in one array, on each other.

With a dead band of b levels, a channel keeps its level while its reading is no further than b bins
beyond the bin of this level, where a bin is :math:`t_{k+1} - t_k`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import (
    REALS_AND_BOOLEANS,
    array_of,
    choice,
    integer,
    real,
    wrong_argument,
)

Reals = NDArray[np.float64]
Bytes = NDArray[np.uint8]

CODINGS: Final = ("thermometer", "graded", "signed")

#: The arguments of an encoder but for the range.
SETTINGS: Final = ("n_channels", "length", "levels", "coding", "hop", "dead_band", "calibration")

#: A level is a byte.
MOST_LEVELS: Final = 255

#: Readings of a larger magnitude are refused, as infinite ones are: their thresholds may be.
LARGEST: Final = 1e300

#: When low and high are learned, one of so many readings is left out at each end.
READINGS_PER_OUTLIER: Final = 100


class LevelScale(NamedTuple):
    """The scale of each channel.

    Attributes
    ----------
    n_unknown : int
        Channels whose range is not known: the other fields have NaN for them, and all their
        readings have level 0.
    low, high : ndarray of shape (n_channels,)
        The ends of the range of a channel.
    thresholds : ndarray of shape (n_channels, levels)
        A reading above k of them has level k.
    falls, rises : ndarray of shape (n_channels, levels + 1)
        A reading keeps a level while it is above the first and not above the second.
    """

    n_unknown: int
    low: Reals
    high: Reals
    thresholds: Reals
    falls: Reals
    rises: Reals

    @classmethod
    def between(cls, low: Reals, high: Reals, levels: int, dead_band: float) -> LevelScale:
        """Return the scale of channels that range from `low` to `high`."""
        n_unknown = int(np.isnan(low + high).sum())
        start, width = low[:, np.newaxis], (high - low)[:, np.newaxis]
        thresholds = start + width * np.arange(1, levels + 1) / (levels + 1)
        band, end = dead_band * width / (levels + 1), np.full((len(low), 1), np.inf)
        falls = np.concatenate([-end, thresholds - band], axis=1)
        rises = np.concatenate([thresholds + band, end], axis=1)
        return cls(n_unknown, low, high, thresholds, falls, rises)

    def levels(self, readings: Reals, last: Bytes | None, has_band: bool) -> Bytes:
        """Return the level of each reading, of shape (n, n_channels), given those before."""
        levels: Bytes = (readings[:, :, np.newaxis] > self.thresholds).sum(axis=2, dtype=np.uint8)
        is_missing = np.isnan(readings)
        if has_band or is_missing.any():
            channels = np.arange(len(self.low))
            for x, level, keeps in zip(readings, levels, is_missing, strict=True):
                if last is not None:  # before the first reading a channel has level 0
                    falls, rises = self.falls[channels, last], self.rises[channels, last]
                    keeps = keeps | ((x > falls) & (x <= rises))
                    level[keeps] = last[keeps]
                last = level
        return levels


class PastReadings(NamedTuple):
    """The state of an encoder after the readings so far, replaced as a whole.

    Attributes
    ----------
    scale : LevelScale
        The range of each channel.
    to_learn : ndarray of shape (n, n_channels)
        While a range is not known, the readings that are to tell it.
    codes : ndarray of shape (n, bytes of a reading), uint8
        The last readings, at most `length` - 1 of them.
    levels : ndarray of shape (n_channels,), uint8, or None
        The last levels; None before the first reading.
    n_missing : int
        The readings still to come until the next window is complete.
    """

    scale: LevelScale
    to_learn: Reals
    codes: Bytes
    levels: Bytes | None
    n_missing: int


class Windows(NamedTuple):
    """The windows that some readings complete.

    Attributes
    ----------
    bytes : ndarray of shape (n_windows, n_inputs), uint8
        The windows, which share their memory, and cannot be written.
    ends : slice
        The readings that are the last of a window.
    past : PastReadings
        The state of an encoder after the readings.
    """

    bytes: Bytes
    ends: slice
    past: PastReadings


class WindowEncoder:
    """Turns the last readings of some sensors into bytes, few of which change at a time.

    A network with ``input_coding="values"`` takes the bytes, times its `input_scale`. Input
    (time · n_channels + channel) · b + i, with time 0 for the oldest reading, is byte i of the b
    bytes of a channel:

    ================= ============= ==========================================================
    coding            b             bytes of a level
    ================= ============= ==========================================================
    ``"thermometer"`` `levels`      byte i is 1 if i < level, and otherwise 0
    ``"graded"``      1             the level, from 0 to `levels`
    ``"signed"``      2             what the level is above and below the middle, `levels` // 2
    ================= ============= ==========================================================

    ``"signed"`` is silent while a signal, such as an ECG, rests in the middle of its range: give it
    a range that is as wide below the rest as above it.

    Each channel has a range, which never changes, so that equal readings always give equal bytes.
    It is given, or that of the first `calibration` readings without the lowest and the highest
    hundredth, at least one of each, which may be outliers; these readings are in no window. Of a
    channel that is constant in them the levels say no more than whether it is above that. `low` and
    `high` of an encoder that has learned them are those to give to another; pickles and copies have
    them, and the readings kept.

    A reading that is NaN keeps the level that its channel had before, or 0 before the first one. A
    channel that is NaN in all of the first `calibration` readings has level 0 until as many more
    have come, which tell its range if it is in one of them, and so on.

    Parameters
    ----------
    n_channels : int
        Numbers in a reading.
    length : int
        Readings in a window.
    levels : int, default=16
        The highest level, at most 255.
    coding : {"thermometer", "graded", "signed"}, default="thermometer"
        The bytes of a level.
    hop : int, default=1
        Readings from one window to the next.
    dead_band : float, default=0.0
        A channel keeps its level while its reading is at most so many bins beyond the bin of the
        level. This saves work and costs accuracy: with half a bin of 1/32 the error on elec2, a
        stream of prices, rose from 0.139 to 0.212.
    calibration : int, default=100
        The first readings, from which low and high are learned where they are not given.
    low, high : float or array-like of shape (n_channels,), or None, default=None
        The range of each channel, NaN where it is to be learned. Readings beyond it have level 0
        and `levels`.

    Raises
    ------
    ValueError
        If an argument has a value that is not allowed.

    Examples
    --------
    >>> encoder = WindowEncoder(1, 2, levels=3, low=0, high=8)
    >>> encoder.n_inputs
    6
    >>> encoder.push([1.0]) is None
    True
    >>> encoder.push([5.0]).tolist()
    [0, 0, 0, 1, 1, 0]
    >>> encoder.push([7.0]).tolist()
    [1, 1, 0, 1, 1, 1]
    """

    def __init__(
        self,
        n_channels: int,
        length: int,
        *,
        levels: int = 16,
        coding: str = "thermometer",
        hop: int = 1,
        dead_band: float = 0.0,
        calibration: int = 100,
        low: Any = None,
        high: Any = None,
    ) -> None:
        self.n_channels = integer("n_channels", n_channels, 1)
        self.length = integer("length", length, 1)
        self.levels = integer("levels", levels, 1, MOST_LEVELS)
        self.coding = choice("coding", coding, CODINGS)
        self.hop = integer("hop", hop, 1)
        allowed = f"a number from 0 to {MOST_LEVELS}"
        self.dead_band = real("dead_band", dead_band, allowed, lambda n: 0 <= n <= MOST_LEVELS)
        self.calibration = integer("calibration", calibration, 1)
        self._codes = _codes_of_levels(self.levels, self.coding)
        self.past = self.beginning(self._scale(self._bound("low", low), self._bound("high", high)))

    @property
    def low(self) -> Reals | None:
        """The lower end of each channel's range; None until the first one has been learned."""
        return self.past.scale.low.copy() if self.is_calibrated else None

    @property
    def high(self) -> Reals | None:
        """The upper end of each channel's range; None until the first one has been learned."""
        return self.past.scale.high.copy() if self.is_calibrated else None

    @property
    def is_calibrated(self) -> bool:
        """Whether the range of a channel is known, so that windows are complete."""
        return self.past.scale.n_unknown < self.n_channels

    @property
    def n_inputs(self) -> int:
        """Bytes of a window."""
        return self.length * self._width

    @property
    def largest_byte(self) -> int:
        """The largest byte of a window."""
        return int(self._codes.max())

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The `input_shape` of a `SpikingNetwork` of images: readings, and bytes of each."""
        return (self.length, self._width)

    @property
    def input_layout(self) -> str:
        """The `input_layout` of such a network."""
        return "channels_last"

    @property
    def _width(self) -> int:
        """Bytes of a reading."""
        return self.n_channels * self._codes.shape[1]

    def push(self, reading: Any) -> Bytes | None:
        """Take a reading, and return the window that it completes, or None.

        Parameters
        ----------
        reading : array-like of shape (n_channels,)
            Real numbers; NaN for those that are missing.

        Returns
        -------
        ndarray of shape (n_inputs,), uint8, or None
            The window, read-only; later readings do not change it.

        Raises
        ------
        ValueError
            If the reading is not allowed; nothing has changed then.
        """
        windows = self.windows(self.checked("reading", reading, one=True))
        self.past = windows.past
        return windows.bytes[0] if len(windows.bytes) else None

    def encode(self, readings: Any) -> Bytes:
        """Return all windows of a recording, those that `push` returns after `reset`.

        The readings that `push` has taken are not part of it, and stay what they are. An encoder
        that has not learned its low and high learns them.

        Parameters
        ----------
        readings : array-like of shape (n_readings, n_channels)
            Real numbers; NaN for those that are missing.

        Returns
        -------
        ndarray of shape (n_windows, n_inputs), uint8
            Windows that share their memory, which is read-only. The first ends with
            reading `length`, or `calibration` + `length` if low and high had to be learned.

        Raises
        ------
        ValueError
            If the readings are not allowed, or too few to learn low and high from; nothing has
            changed then.
        """
        rows = self.checked("readings", readings)
        windows = self.windows(rows, self.beginning(self.past.scale))
        if windows.past.scale.n_unknown == self.n_channels:
            allowed = f"at least calibration={self.calibration} readings, to learn low and high"
            raise wrong_argument("readings", allowed, len(rows))
        self.past = self.past._replace(scale=windows.past.scale)
        return windows.bytes

    def reset(self) -> None:
        """Forget all readings, as another recording begins; low and high stay."""
        self.past = self.beginning(self.past.scale)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return settings, range and last readings as arrays, for `from_arrays`."""
        past = self.past
        settings = json.dumps({name: getattr(self, name) for name in SETTINGS}, sort_keys=True)
        arrays: dict[str, NDArray[Any]] = {
            "settings": np.frombuffer(settings.encode(), np.uint8),
            "low": past.scale.low,
            "high": past.scale.high,
            "to_learn": past.to_learn,
            "codes": past.codes,
            "n_missing": np.array(past.n_missing, np.int64),
        }
        return arrays if past.levels is None else arrays | {"levels": past.levels}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> WindowEncoder:
        """Return the encoder of some arrays, which goes on with the next reading.

        Raises
        ------
        ValueError
            If they are not those of an encoder.
        """
        if missing := {"settings", "low", "high", "to_learn", "codes", "n_missing"} - arrays.keys():
            raise wrong_argument("encoder", "complete", f"none of {sorted(missing)}")
        settings = json.loads(arrays["settings"].tobytes())
        if not isinstance(settings, dict) or settings.keys() != set(SETTINGS):
            raise wrong_argument("settings", f"an object of {', '.join(SETTINGS)}", repr(settings))
        for name in ("low", "high"):  # a number for all channels would take the memory of many
            if arrays[name].shape != (settings["n_channels"],):
                raise wrong_argument(name, "a number for each channel", arrays[name].shape)
        self = cls(**settings, low=arrays["low"], high=arrays["high"])
        codes, levels = arrays["codes"], arrays.get("levels")
        n_codes = min(codes.size // self._width, self.length - 1)
        for name, array, shape, most in (
            ("codes", codes, (n_codes, self._width), self.largest_byte),
            ("levels", levels, (self.n_channels,), self.levels),
        ):
            if array is not None and (
                array.dtype != np.uint8 or array.shape != shape or array.max(initial=0) > most
            ):
                raise wrong_argument(name, f"bytes up to {most} of shape {shape}", repr(array))
        to_learn = self.checked("to_learn", arrays["to_learn"])
        integer("readings to learn from", len(to_learn), 0, self.calibration - 1)
        most = self.length + self.calibration + self.hop
        n_missing = integer("n_missing", arrays["n_missing"][()], 1, most)
        self.past = PastReadings(self.past.scale, to_learn, codes, levels, n_missing)
        return self

    def checked(self, name: str, values: Any, one: bool | None = False) -> Reals:
        """Return readings as an array of shape (n_readings, n_channels).

        Parameters
        ----------
        name : str
            Their name in a message.
        values : array-like
            Readings.
        one : bool or None, default=False
            Whether it must be one reading, of shape (n_channels,); None allows both shapes.

        Raises
        ------
        ValueError
            If they are not allowed.
        """
        array = array_of(name, values, REALS_AND_BOOLEANS, "an array of real numbers")
        shapes = {1: f"({self.n_channels},)", 2: f"(n_readings, {self.n_channels})"}
        if one is not None:
            shapes.pop(2 if one else 1)
        if array.ndim not in shapes or array.shape[-1] != self.n_channels:
            allowed = f"of shape {' or '.join(shapes.values())}"
            raise wrong_argument(name, allowed, f"shape {array.shape}")
        with np.errstate(over="ignore"):
            readings: Reals = array.astype(np.float64).reshape(-1, self.n_channels)
        is_wrong = np.abs(readings) > LARGEST
        if is_wrong.any():
            row, channel = (int(i) for i in np.argwhere(is_wrong)[0])
            allowed = f"NaN or at most {LARGEST} in magnitude"
            got = f"{readings[row, channel]} for channel {channel} in reading {row}"
            raise wrong_argument(name, allowed, got)
        return readings

    def windows(
        self, readings: Reals, past: PastReadings | None = None, *, every: bool = False
    ) -> Windows:
        """Return the windows that readings complete; the encoder does not take them.

        Parameters
        ----------
        readings : ndarray of shape (n_readings, n_channels)
            Checked readings.
        past : PastReadings or None, default=None
            The state before the readings; None takes that of the encoder.
        every : bool, default=False
            Whether each reading ends a window, whatever `hop` is, once there are enough.
        """
        past, n, hop = self.past if past is None else past, len(readings), self.hop
        has_one = len(past.codes) == self.length - 1 and past.scale.n_unknown < self.n_channels
        past = self._after(readings, past)
        codes, n_missing, first = past.codes, past.n_missing - n, past.n_missing - 1
        if every:
            first, hop = 0 if has_one else first, 1
        n_windows = max(0, -((first - n) // hop))
        found: Bytes = np.ndarray(
            (n_windows, self.n_inputs),
            np.uint8,
            codes,
            (len(codes) - n + first + 1 - self.length) * self._width if n_windows else 0,
            (hop * self._width, 1),
        )
        found.flags.writeable = False
        if n_missing <= 0:
            n_missing = self.hop - -n_missing % self.hop
        kept = codes[max(0, len(codes) - self.length + 1) :].copy()
        past = past._replace(codes=kept, n_missing=n_missing)
        return Windows(found, slice(first, None, hop), past)

    def beginning(self, scale: LevelScale) -> PastReadings:
        """Return the past before the first reading."""
        n_missing = self.length
        if scale.n_unknown == self.n_channels:
            n_missing += self.calibration
        nothing = np.empty((0, self.n_channels))
        return PastReadings(scale, nothing, np.empty((0, self._width), np.uint8), None, n_missing)

    def _after(self, readings: Reals, past: PastReadings) -> PastReadings:
        """Return the past extended by readings whose codes are complete."""
        scale, to_learn, codes, levels, n_missing = past
        while len(readings):
            is_learning, is_first = scale.n_unknown > 0, scale.n_unknown == self.n_channels
            n_now = self.calibration - len(to_learn) if is_learning else len(readings)
            part, readings = readings[:n_now], readings[n_now:]
            if not is_first:
                of_part = scale.levels(part, levels, self.dead_band > 0)
                levels = of_part[-1].copy()
                codes = np.concatenate([codes, self._codes[of_part].reshape(len(part), -1)])
            if is_learning:
                to_learn = np.concatenate([to_learn, part])
            if is_learning and len(to_learn) == self.calibration:
                scale, to_learn = self._learned_scale(scale, to_learn), to_learn[:0].copy()
                if scale.n_unknown == self.n_channels:  # all readings were NaN
                    n_missing += self.calibration
        return PastReadings(scale, to_learn, codes, levels, n_missing)

    def _bound(self, name: str, values: Any) -> Reals:
        """Return the low or the high of each channel, which was given."""
        n = self.n_channels
        allowed = f"a number or {n} of them, of magnitude at most {LARGEST} or NaN, or None"
        array = array_of(name, np.nan if values is None else values, REALS_AND_BOOLEANS, allowed)
        if array.shape not in ((), (n,)) or (np.abs(array) > LARGEST).any():
            raise wrong_argument(name, allowed, repr(values))
        return np.broadcast_to(array.astype(np.float64), n).copy()

    def _scale(self, low: Reals, high: Reals) -> LevelScale:
        is_wrong = (low > high) | (np.isnan(low) != np.isnan(high))
        if is_wrong.any():
            channel = int(np.flatnonzero(is_wrong)[0])
            got = f"{low[channel]} and {high[channel]} for channel {channel}"
            raise wrong_argument("low and high", "in this order, or both to be learned", got)
        return LevelScale.between(low, high, self.levels, self.dead_band)

    def _learned_scale(self, scale: LevelScale, readings: Reals) -> LevelScale:
        """Return a scale with the ranges of readings where none is known."""
        low, high = scale.low.copy(), scale.high.copy()
        for channel in np.flatnonzero(np.isnan(low)):
            values = readings[:, channel]
            known = np.sort(values[~np.isnan(values)])
            n_left_out = min(-(-len(known) // READINGS_PER_OUTLIER), (len(known) - 1) // 2)
            if len(known):
                low[channel], high[channel] = known[n_left_out], known[-1 - n_left_out]
        return self._scale(low, high)

    def __repr__(self) -> str:
        names = ("levels", "coding", "hop", "dead_band", "calibration", "low", "high")
        values = {name: getattr(self, name) for name in names}
        texts = (
            f"{name}={value.tolist() if isinstance(value, np.ndarray) else value!r}"
            for name, value in values.items()
        )
        return f"{type(self).__name__}({self.n_channels}, {self.length}, {', '.join(texts)})"


def _codes_of_levels(levels: int, coding: str) -> Bytes:
    """Return the bytes of each level, of shape (levels + 1, bytes of a channel)."""
    level = np.arange(levels + 1)[:, np.newaxis]
    if coding == "thermometer":
        codes = (level > np.arange(levels)).astype(np.int64)
    elif coding == "graded":
        codes = level
    else:
        above = level - levels // 2
        codes = np.concatenate([above, -above], axis=1).clip(0)
    return codes.astype(np.uint8)
