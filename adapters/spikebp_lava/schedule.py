"""The place of each step of Lava in its sample."""

from __future__ import annotations

from spikebp_lava.memory import SharedNetwork
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.compiled.step_engine import Moment
from spikebp_plugins.network.delays import ENDLESS, Delays, delays_of, is_busy


class Schedule:
    """Tells the place of each step in its sample; samples may have any length."""

    def __init__(self) -> None:
        #: Steps shown of the present sample or, between samples, of the last one.
        self.steps_shown = 0
        #: Whether the next step opens a sample.
        self.is_over = True
        self._in_training = False

    def advance(self, n_steps: int, learns: bool, closes: bool) -> Moment:
        """Advance by steps of equal input and target; `closes` says that the sample ends then."""
        opens = self.is_over
        if opens:
            self.steps_shown, self._in_training = 0, False
        restarts = learns and not self._in_training
        self._in_training |= learns
        self.steps_shown += n_steps
        self.is_over = closes
        return Moment(opens, closes, restarts, learns, closes and self._in_training)


class PipelinedSchedule:
    """Tells the place of each step in its sample with pipelined timing.

    All steps of a sample learn, or none does: its first step at the output decides.

    Parameters
    ----------
    delays : Delays
        The delays of the timing.
    """

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._of_output = delays.spikes[-1]
        #: Steps taken by the present sample or, between samples, by the last one.
        self.steps_shown = 0
        #: Whether the next step opens a sample.
        self.is_over = True
        self._n_inputs = ENDLESS
        self._in_training = False

    def begin(self) -> None:
        """Open a sample if the one before is over."""
        if self.is_over:
            self.is_over, self.steps_shown, self._n_inputs = False, 0, ENDLESS
            self._in_training = False

    @property
    def takes_input(self) -> bool:
        """Whether layer 0 is busy in the next step."""
        return self.steps_shown < self._n_inputs

    def takes_target(self, n_steps: int) -> bool:
        """Whether the output is busy in some of the next `n_steps` steps."""
        t = self.steps_shown - self._of_output
        return t + n_steps > 0 and t < self._n_inputs

    def advance(self, n_steps: int, learns: bool, n_inputs: int) -> Moment:
        """Go on by some steps with the same input and target.

        Parameters
        ----------
        n_steps : int
            How many steps.
        learns : bool
            Whether there is a target; not looked at while the output is idle.
        n_inputs : int
            How many steps of input the sample has; `ENDLESS` if that is not known yet.
        """
        self.begin()
        first = self.steps_shown + 1
        if self._n_inputs == ENDLESS:
            self._n_inputs = n_inputs
        reaches_output = first <= self._of_output + 1 < first + n_steps
        if reaches_output:
            self._in_training = learns
        elif self.takes_target(n_steps) and learns != self._in_training:
            allowed = "known at all steps of a sample or at none with timing='pipelined'"
            change = "goes" if self._in_training else "comes"
            raise wrong_argument("a label", allowed, f"one that {change} at step {first}")
        self.steps_shown += n_steps
        self.is_over = first + n_steps > self._delays.duration(self._n_inputs)
        return Moment(
            opens=first == 1,
            closes=self.is_over,
            restarts=reaches_output and learns,
            learns=self._in_training,
            updates=self.is_over and self._in_training,
            t=first,
            n_inputs=self._n_inputs,
        )


class Clock:
    """Counts the steps of a pipelined sample, and knows whether the sample learns.

    Parameters
    ----------
    shared : SharedNetwork
        The network, whose switches are read when a sample begins.
    """

    def __init__(self, shared: SharedNetwork) -> None:
        self._switches, self._delays = shared.switches, delays_of(shared.net)
        self._t = self._n_inputs = 0
        #: Whether this step is the last of its sample.
        self.closes = True
        #: Whether this sample learns.
        self.learns = False

    def tick(self, ends: bool | None = None) -> None:
        """Go on by one step of Lava.

        Parameters
        ----------
        ends : bool or None, default=None
            Whether the input of the sample ends with this step; with None it ends when the
            switches say.

        Raises
        ------
        ValueError
            If input ends that is over.
        """
        if self.closes:
            switches = self._switches
            self._t = 0
            self._n_inputs = int(switches.steps_per_sample[0]) if ends is None else ENDLESS
            self.learns = bool(switches.learning[0] and switches.taught[0])
        self._t += 1
        if ends:
            require_input(self._t <= self._n_inputs)
            self._n_inputs = self._t
        self.closes = self._t == self._delays.duration(self._n_inputs)

    @property
    def opens(self) -> bool:
        """Whether this step is the first of its sample."""
        return self._t == 1

    def is_busy(self, delay: int) -> bool:
        """Return whether a layer that is `delay` steps behind the input is busy in this step."""
        return is_busy(self._t, delay, self._n_inputs)


def require_input(is_shown: bool) -> None:
    """Refuse the end of an input that is over, as `reset_in` may not announce in the way after."""
    if not is_shown:
        allowed = "0 from the end of a sample's input to the next sample with timing='pipelined'"
        raise wrong_argument("reset_in", allowed, "another number")
