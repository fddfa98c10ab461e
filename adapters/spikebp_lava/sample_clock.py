"""The clock that counts the steps of Lava within a sample."""

from __future__ import annotations

from spikebp_lava.memory import SharedNetwork
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.delays import ENDLESS, delays_of


class SampleClock:
    """Counts the steps of a sample, and says in which of them a layer is busy.

    Parameters
    ----------
    shared : SharedNetwork
        The network, whose switches are read when a sample begins.

    Attributes
    ----------
    first : int
        The number of the first step of the present message in its sample, from 1.
    n_inputs : int
        The number of steps of input of the sample; `ENDLESS` while it is not known.
    closes : bool
        Whether the sample ends with this message.
    learns : bool
        Whether learning was on when this sample began.
    """

    def __init__(self, shared: SharedNetwork) -> None:
        self._switches, self._delays = shared.switches, delays_of(shared.net)
        self.first = self.n_inputs = self._last = 0
        self.closes, self.learns = True, False

    def tick(self, ends: bool | None = None, n_steps: int = 1) -> None:
        """Advance by the steps of a message.

        Parameters
        ----------
        ends : bool or None, default=None
            Whether the input of the sample ends with this message; with None it ends when the
            switches say.
        n_steps : int, default=1
            The number of steps: one, or all of a sample with one message for the whole sample.

        Raises
        ------
        ValueError
            If input ends that is over.
        """
        if self.closes:
            switches, self._last = self._switches, 0
            self.n_inputs = int(switches.steps_per_sample[0]) if ends is None else ENDLESS
            self.learns = bool(switches.learning[0] and switches.taught[0])
        self.first, self._last = self._last + 1, self._last + n_steps
        if ends:
            if self.first > self.n_inputs:
                allowed = "0 from the end of a sample's input to the next sample"
                with_timing = f"{allowed} with timing='pipelined'"
                raise wrong_argument("reset_in", with_timing, "another number")
            self.n_inputs = self._last
        self.closes = self._last >= self._delays.duration(self.n_inputs)

    @property
    def opens(self) -> bool:
        """Whether this message is the first of its sample."""
        return self.first == 1

    def is_busy(self, delay: int) -> bool:
        """Return whether a layer that is `delay` steps behind the input is busy in this message."""
        return self._last > delay and self.first <= delay + self.n_inputs

    def begins(self, delay: int) -> bool:
        """Return whether the first busy step of such a layer is in this message."""
        return self.first <= delay + 1 <= self._last
