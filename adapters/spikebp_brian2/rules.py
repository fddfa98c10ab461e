"""The step rules of docs/semantics.md as Brian2 equations and code.

A user finds these strings in the Brian2 objects. A step runs in this order:

===================  ===========================================================================
schedule             whether this dt is a step, of which sample, and whether it has a target
layer 0              rule 1: the input fires
layers 1..L          rule 2: the forward pass
layer L              rule 3: the output is compared with the target
synapses L..1        rules 4 and 5: errors go backward, then weights learn
layers L-1..1        rule 4: backward potentials fire, each layer after the synapses above it
===================  ===========================================================================

With ``timing="pipelined"`` all synapses run after all layers, first forward and then backward, so
that what they carry acts in the next step.

Weights that several synapses share are variables of a group of their own, the kernel. Synapses read
them as `weight` too, and change them in a pathway that follows all that read them.

The names spell out the symbols of that page: potential (phi), spike_count (k), drive (d),
summed_drive (s), input_count (c), backward_potential (psi), error (e), summed_error (E).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.learning_rule import LARGEST_INTEGER

#: The timings whose delays the code below follows: all connections take no step, or all take one.
CHOICES: Final = {"timing": ("immediate", "pipelined")}

#: One neuron that schedules steps, samples and learning.
SCHEDULE_EQUATIONS: Final = """
dts_per_step : integer         # how many dt a step takes
steps_per_sample : integer     # how many steps a sample takes
dts_waited : integer           # dt since the last step
is_step : boolean              # whether this dt is a step
steps_shown : integer          # steps of the present sample so far
sample_over : boolean          # whether the next step opens a sample
opens_sample : boolean         # whether this step is the first of its sample
closes_sample : boolean        # whether this step is the last of its sample
received_ends : 1              # events received that end the sample
learning : boolean             # whether steps with a target learn; yours to set
label : 1                      # class of the sample, below 0 if not known; yours to set
has_target : boolean           # whether this step has a target to learn from
in_training : boolean          # whether the present sample has had a target
opens_training : boolean       # whether this step is the first of its sample with a target
samples_shown : 1              # ended samples
samples_seen : 1               # ended samples that had a target
presentation : integer         # how often `present` has been called
n_presented : integer          # how many samples are presented
input_rows : integer           # in how many rows the input of each of them is
target_rows : integer          # in how many its targets are: 1, or one for each step
presented : integer            # which of them this sample is, from 1; n_presented + 1 afterwards
input_row : integer            # which row of the presented input this step shows
target_row : integer           # which row of the presented targets this step is compared with
interrupted : integer          # samples in the middle of which others were presented
recording : boolean            # whether the monitors of `record` record, in cpp_standalone
settings : integer             # which of its settings a program was given last; 0 as it was built
"""

#: Further variables of the schedule with timing="pipelined". A sample then lasts some steps longer
#: than its input, and steps_per_sample and steps_shown count the steps of the input alone.
PIPELINE_EQUATIONS: Final = """
steps_taken : integer          # all steps of the present sample so far
input_over : boolean           # whether the input of the present sample is over
"""

#: Further variables of the schedule for each layer l with timing="pipelined".
IS_BUSY_EQUATION: Final = "is_busy_{l} : boolean           # whether layer {l} fires in this dt\n"
HAS_TARGET_EQUATION: Final = "has_target_{l} : boolean        # whether errors reach layer {l}\n"
HAD_TARGET_EQUATION: Final = "had_target_{l} : boolean        # layer {l} had one a step ago\n"

#: Variables of the schedule that layers read.
SCHEDULE_LINKS: Final = """
is_step : boolean (linked)
is_busy : boolean (linked)     # whether this dt is a step in which the layer fires
opens_sample : boolean (linked)
closes_sample : boolean (linked)
has_target : boolean (linked)
"""

#: The numbers of a definition: variables, so that one compiled program serves many definitions.
CONSTANTS: Final = """
units_per_one : 1 (shared, constant)    # units of 2^-f in 1
value_limit : 1 (shared, constant)      # magnitude that no value may reach
count_limit : 1 (shared, constant)      # magnitude that no count may reach
binary : 1 (shared, constant)           # whether a unit sends at most one spike a step
"""

#: Variables of every layer.
SPIKE_EQUATIONS: Final = """
potential : 1                  # accumulated drive, not sent as spikes yet
spike_count : 1                # signed spikes in this dt
spikes_sent : 1                # magnitudes of spike_count, summed since the start
messages_sent : 1              # in how many dts spike_count was not 0
most_spikes : 1                # largest magnitude of spike_count in this run
overflows : 1                  # how many values have left the range
"""

#: Variables of the layers that synapses start from.
COUNT_EQUATIONS: Final = """
input_count : 1                # presynaptic trace: net spikes of the present sample
weights_changed : 1            # how often a synapse that starts here has changed its weight
"""

#: Further variable of these layers, and of kernels: what bounds the weights that a run has seen.
TRAVEL_EQUATION: Final = """
weight_travel : 1              # magnitudes of the changes of weights, summed in this run
"""

#: Variables of the layers that synapses lead to.
ERROR_EQUATIONS: Final = """
drive : 1                      # input current of this step
summed_drive : 1               # drive summed over the present sample
error : 1                      # signed error spikes in this dt
errors_sent : 1                # magnitudes of error, summed since the start
error_messages_sent : 1        # in how many dts error was not 0
most_errors : 1                # largest magnitude of error in this run
"""

#: Further variables of these layers where weights learn at the end of a sample.
SUMMED_ERROR_EQUATION: Final = """
summed_error : 1               # the errors of the present sample
"""
IN_TRAINING_EQUATION: Final = "in_training : boolean (linked)\n"

#: Further variable of these layers where weights learn at every step, and each synapse has its own.
EARLIER_ERRORS_EQUATION: Final = """
earlier_errors : 1             # magnitudes of error in earlier steps of the present sample, summed
"""

#: Further variables of these layers, and of those that synapses start from, where what teaches is
#: cut off: at a limit, or at that of all steps shown, if it is larger.
TEACHING_COUNT_EQUATIONS: Final = """
teaching_count : 1             # input_count within the larger limit
count_limit_of_sample : 1 (shared, constant)  # limit of a sample that is not too long
count_limit_of_step : 1 (shared, constant)    # and of each step shown
"""
TEACHING_ERROR_EQUATIONS: Final = """
teaching_error : 1             # error, or summed_error, within the larger limit
error_limit_of_sample : 1 (shared, constant)  # limit of a sample that is not too long
error_limit_of_step : 1 (shared, constant)    # and of each step shown
"""
STEPS_SHOWN_EQUATION: Final = "steps_shown : integer (linked)  # steps of input so far\n"

#: Further variable of these layers where the rate is divided.
SQUARED_COUNTS_EQUATION: Final = """
squared_counts : 1 (linked)    # those that the rate of the weights into the layer depends on
"""

#: Where the rate depends on squared counts, one neuron for each connection: its rate.
RATE_EQUATIONS: Final = """
units_per_one : 1 (shared, constant)    # units of 2^-f in 1
update_rate : 1 (shared, constant)      # the rate before it is divided, or where it is not 0
arriving_squares : 1           # squared counts of the layer below; they come before weights learn
own_rate : 1                   # how much a weight changes for a count and an error of 1
"""
#: Its further variables where the rate is divided, once for each sample,
DIVIDED_RATE_EQUATIONS: Final = """
added_squares : 1 (shared, constant)    # added to the squared counts below
squared_counts : 1             # the sum of both
"""
#: and where it is 0 if the gain of an update is too large.
GAIN_EQUATIONS: Final = """
gain_limit_of_sample : 1 (shared, constant)   # limit of rate times squares, in units of 2^-f
gain_limit_of_step : 1 (shared, constant)     # and of each step shown
"""

INPUT_EQUATIONS: Final = """
input_value : 1                # input of every step; yours to set
received_input : 1             # input received since the last step; yours to add to
input_factor : 1 (shared, constant)     # the factor of both
input_row : integer (linked)
refused_values : 1             # inputs that were not finite, or no spike counts
"""

BACKWARD_EQUATIONS: Final = """
backward_potential : 1         # accumulated errors, not sent yet; kept after the sample
backward_potential_before : 1  # the same before the present sample, in training
backward_drive : 1             # errors received in this step, times weights
opens_training : boolean (linked)
starts_at_zero : 1 (shared, constant)   # whether backward_potential does, in a training sample
"""

OUTPUT_EQUATIONS: Final = """
label : 1 (linked)
target_row : integer (linked)
target_value : 1               # target of every step; yours to set
wrong_target : 1 (shared, constant)     # target of outputs that are not the class of the label
right_target : 1 (shared, constant)     # target of the output that is
received_target : 1            # target received since the last step; yours to add to
target_potential : 1           # accumulated target, not sent as spikes yet
refused_values : 1             # targets that were not finite, or labels that are no class
"""

#: The weights, of synapses that have one each, or of a kernel.
WEIGHT_EQUATION: Final = """
weight : 1                     # forward, and backward unless there is a backward_weight
"""
#: How synapses read the weights of a kernel, which are set there.
SHARED_WEIGHT_EQUATION: Final = """
weight = _kernel_weight : 1    # that of the kernel with the number weight_index
"""

#: Further variable of synapses, or of their kernel, where weights learn at every step. With it the
#: weights after the last sample are known in the middle of the next.
SAMPLE_CHANGE_EQUATION: Final = """
sample_change : 1              # what the weight has lost in the present sample, if the unit above
                               # has had an error in it
"""
SHARED_SAMPLE_CHANGE_EQUATIONS: Final = """
sample_change : 1              # what the weight has lost in the present sample
opens_sample : boolean (linked)
"""

#: Further variable of synapses where all samples have one rate.
RATE_EQUATION: Final = """\
update_rate : 1 (shared, constant)      # how much a weight changes for a count and an error of 1
"""

#: Further variable of synapses that errors pass, or of their kernel, with feedback="random".
FEEDBACK_EQUATION: Final = "backward_weight : 1 (constant)          # backward\n"
SHARED_FEEDBACK_EQUATION: Final = "backward_weight = _kernel_backward_weight : 1\n"

#: The synapses that send the squared counts of units to the neuron of the rate, and their code.
SQUARES_CODE: Final = "arriving_squares_post += times_met*{count}_pre*{count}_pre"
DIVIDED_RATE_CODE: Final = """
        squared_counts = added_squares + arriving_squares
        arriving_squares = 0
        own_rate = larger(whole(update_rate*units_per_one/squared_counts), 1)/units_per_one
        """
#: Doubles are exact below 2^53, where the limit is.
LIMITED_RATE_CODE: Final = f"""
        most_gain = larger(gain_limit_of_sample, gain_limit_of_step*steps_shown)
        gain = update_rate*units_per_one*arriving_squares
        arriving_squares = 0
        own_rate = update_rate*int(gain <= within(most_gain, 0, {LARGEST_INTEGER}))
        """


def described() -> str:
    """Return all variables that parts may have, with their meaning, as text for ``help``."""
    pipelined = [PIPELINE_EQUATIONS, IS_BUSY_EQUATION, HAS_TARGET_EQUATION, HAD_TARGET_EQUATION]
    of_layers = [SCHEDULE_LINKS, STEPS_SHOWN_EQUATION, CONSTANTS, SPIKE_EQUATIONS]
    parts = {
        "schedule": [SCHEDULE_EQUATIONS],
        'schedule, with timing="pipelined" also': pipelined,
        "layers[l], for every l": of_layers,
        "layers[l], for l < L": [COUNT_EQUATIONS, TEACHING_COUNT_EQUATIONS, TRAVEL_EQUATION],
        "layers[l], for l > 0": [
            ERROR_EQUATIONS,
            IN_TRAINING_EQUATION,
            SUMMED_ERROR_EQUATION,
            EARLIER_ERRORS_EQUATION,
            TEACHING_ERROR_EQUATIONS,
            SQUARED_COUNTS_EQUATION,
        ],
        "layers[0], the input": [INPUT_EQUATIONS],
        "layers[l], for 0 < l < L": [BACKWARD_EQUATIONS],
        "layers[L], the output": [OUTPUT_EQUATIONS],
        "synapses[l - 1], into layer l": [
            WEIGHT_EQUATION,
            RATE_EQUATION,
            FEEDBACK_EQUATION,
            SAMPLE_CHANGE_EQUATION,
        ],
        "synapses[l - 1], where they share weights": [
            SHARED_WEIGHT_EQUATION,
            RATE_EQUATION,
            SHARED_FEEDBACK_EQUATION,
        ],
        "kernels[l - 1], of the weights that they share": [
            WEIGHT_EQUATION,
            TRAVEL_EQUATION,
            FEEDBACK_EQUATION,
            SHARED_SAMPLE_CHANGE_EQUATIONS,
        ],
        'parts["rate_1"], of the weights into layer 1, and so on': [
            RATE_EQUATIONS,
            DIVIDED_RATE_EQUATIONS,
            GAIN_EQUATIONS,
            STEPS_SHOWN_EQUATION,
        ],
    }
    lines = []
    for part, equations in parts.items():
        found = [line for line in "".join(equations).splitlines() if line]
        lines += ["", f"mlp.{part}::", "", *(f"    {line}" for line in found)]
    return "\n".join([*lines, ""]).replace("{l}", "l")


def schedule_equations(net: Definition) -> str:
    """Return the equations of the schedule."""
    if delays_of(net).are_zero:
        return SCHEDULE_EQUATIONS
    L = net.n_layers
    parts = [SCHEDULE_EQUATIONS, PIPELINE_EQUATIONS]
    parts += [IS_BUSY_EQUATION.format(l=l) for l in range(L + 1)]
    parts += [HAS_TARGET_EQUATION.format(l=l) for l in range(1, L)]
    parts += [HAD_TARGET_EQUATION.format(l=l) for l in range(2, L + 1)]
    return "".join(parts)


def linked_name(net: Definition, l: int, name: str) -> str:
    """Return the variable of the schedule to which the variable `name` of layer l is linked."""
    if delays_of(net).are_zero:
        return "is_step" if name == "is_busy" else name
    is_delayed = name == "is_busy" or (name == "has_target" and 0 < l < net.n_layers)
    return f"{name}_{l}" if is_delayed else name


def layer_equations(net: Definition, l: int) -> str:
    """Return the equations of layer l."""
    L, rule = net.n_layers, net.learning_rule
    parts = [SCHEDULE_LINKS, CONSTANTS, SPIKE_EQUATIONS]
    parts.append(INPUT_EQUATIONS if l == 0 else ERROR_EQUATIONS)
    parts.append(OUTPUT_EQUATIONS if l == L else COUNT_EQUATIONS)
    if l < L and has_own_weights(net, l + 1):
        parts.append(TRAVEL_EQUATION)
    if 0 < l < L:
        parts.append(BACKWARD_EQUATIONS)
    if rule.learns_once:
        parts.append(IN_TRAINING_EQUATION)
    if l > 0 and rule.learns_once:
        parts.append(SUMMED_ERROR_EQUATION)
    if l > 0 and has_sample_change(net, l) and has_own_weights(net, l):
        parts.append(EARLIER_ERRORS_EQUATION)
    if rule.cuts_off:
        parts.append(STEPS_SHOWN_EQUATION)
    if l < L and rule.cuts_off:
        parts.append(TEACHING_COUNT_EQUATIONS)
    if l > 0 and rule.cuts_off:
        parts.append(TEACHING_ERROR_EQUATIONS)
    if l > 0 and rule.divides_rate:
        parts.append(SQUARED_COUNTS_EQUATION)
    return "".join(parts)


def has_variable(net: Definition, l: int, name: str) -> bool:
    """Return whether layer l has the variable `name`."""
    return f"\n{name} : " in layer_equations(net, l)


def layer_events(net: Definition, l: int) -> dict[str, str]:
    """Return the events of layer l and their conditions."""
    events = {"spike": "spike_count != 0"}
    if l < net.n_layers and net.learning_rule.reads_squares:
        learns = "closes_sample and in_training" if net.learning_rule.learns_once else "is_step"
        events["counted"] = f"{learns} and input_count != 0"
    if l > 0:
        events["error"] = "error != 0"
        if net.learning_rule.learns_once and not has_constant_weight(net, l):
            events["learn"] = "closes_sample and in_training and summed_error != 0"
        if l == net.n_layers:
            events["sample_end"] = "closes_sample"
    return events


def has_own_weights(net: Definition, l: int) -> bool:
    """Return whether each of the synapses into layer l has a weight of its own."""
    return not net.connections[l - 1].shares_weights


def has_constant_weight(net: Definition, l: int) -> bool:
    """Return whether the synapses into layer l have a weight that does not learn."""
    return net.connections[l - 1].constant_weight is not None


def has_sample_change(net: Definition, l: int) -> bool:
    """Return whether the weights of the synapses into layer l change within a sample."""
    return not (net.learning_rule.learns_once or has_constant_weight(net, l))


def has_backward_weights(net: Definition, l: int) -> bool:
    """Return whether errors go from layer l through other weights than spikes come."""
    return l > 1 and net.feedback == "random" and not has_constant_weight(net, l)


def part_with_weights(net: Definition, l: int) -> str:
    """Return the part whose variables are the weights of the synapses into layer l."""
    return f"synapses_{l}" if has_own_weights(net, l) else f"kernel_{l}"


def kernel_equations(net: Definition, l: int) -> str:
    """Return the equations of the weights that synapses into layer l share."""
    parts = [WEIGHT_EQUATION]
    if not has_constant_weight(net, l):
        parts.append(TRAVEL_EQUATION)
    if has_backward_weights(net, l):
        parts.append(FEEDBACK_EQUATION)
    if has_sample_change(net, l):
        parts.append(SHARED_SAMPLE_CHANGE_EQUATIONS)
    return "".join(parts)


def rate_neuron(net: Definition) -> tuple[str, str]:
    """Return equations and code of the neuron whose rate depends on squared counts."""
    if net.learning_rule.divides_rate:
        return RATE_EQUATIONS + DIVIDED_RATE_EQUATIONS, DIVIDED_RATE_CODE
    return RATE_EQUATIONS + GAIN_EQUATIONS + STEPS_SHOWN_EQUATION, LIMITED_RATE_CODE


def synapses_equations(net: Definition, l: int) -> str:
    """Return the equations of the synapses that lead into layer l."""
    is_own = has_own_weights(net, l)
    parts = [WEIGHT_EQUATION if is_own else SHARED_WEIGHT_EQUATION]
    if not net.learning_rule.reads_squares:
        parts.append(RATE_EQUATION)
    if has_backward_weights(net, l):
        parts.append(FEEDBACK_EQUATION if is_own else SHARED_FEEDBACK_EQUATION)
    if is_own and has_sample_change(net, l):
        parts.append(SAMPLE_CHANGE_EQUATION)
    return "".join(parts)


#: The code of kernels whose weights change within a sample.
KERNEL_CODE: Final = "sample_change *= int(not opens_sample)"


class SourceExpressions(NamedTuple):
    """The expressions for the input, label and target of a network.

    Attributes
    ----------
    input, label, target : str or None
        Expressions for the variables `input_value`, `label` and `target_value`; None leaves them to
        the user.
    by_label : bool
        Whether targets are labels, and not real numbers.
    in_rows : bool
        Whether the expressions need the rows of presented samples.
    """

    input: str | None = None
    label: str | None = None
    target: str | None = None
    by_label: bool = True
    in_rows: bool = False


def schedule_code(net: Definition, shown: SourceExpressions) -> str:
    """Return the code of the schedule.

    The code never sets one variable to another and then changes one of the two in place: NumPy code
    would change both.
    """
    knows_label = shown.by_label or shown.label is not None
    shows = answers = "is_step"
    begin = windows = targets = ""
    over = "steps_shown >= steps_per_sample or received_ends > 0"
    if not delays_of(net).are_zero:
        shows, answers = "is_busy_0", f"is_busy_{net.n_layers}"
        begin = """
        steps_taken = int(not opens_sample)*steps_taken + int(is_step)
        is_busy_0 = is_step and (opens_sample or not input_over)"""
        windows, targets = _windows(net, over), _targets_under_way(net)
        over = f"steps_taken - steps_shown >= {delays_of(net).duration(0)}"
    return f"""
        dts_waited += 1
        is_step = dts_waited >= dts_per_step
        dts_waited = int(not is_step)*dts_waited
        opens_sample = is_step and sample_over
        {begin}
        steps_shown = int(not opens_sample)*steps_shown + int({shows})
        {windows}
        {_rows(net) if shown.in_rows else ""}
        {"" if shown.label is None else f"label = {shown.label}"}
        has_target = {answers} and learning{" and not label < 0" if knows_label else ""}
        {targets}
        in_training = in_training and not opens_sample
        opens_training = has_target and not in_training
        in_training = in_training or has_target
        closes_sample = is_step and ({over})
        received_ends = int(not is_step)*received_ends
        sample_over = closes_sample or (sample_over and not is_step)
        samples_shown += int(closes_sample)
        samples_seen += int(closes_sample and in_training)
        """


def _rows(net: Definition) -> str:
    """Return the code that finds the rows of the presented sample.

    There are rows of nothing before those of the first sample and behind those of the last.
    """
    delay = delays_of(net).spikes[-1]
    compared = f"steps_taken - {delay}" if delay else "steps_shown"
    return _lines(
        [
            "presented = int(within(presented + int(opens_sample), 0, n_presented + 1))",
            "input_row = int(presented*input_rows + within(steps_shown - 1, 0, input_rows - 1))",
            f"target_row = int(presented*target_rows + within({compared} - 1, 0, target_rows - 1))",
        ]
    )


def _windows(net: Definition, over: str) -> str:
    """Return the code that says when each layer fires: for as many steps as the input was shown."""
    lines = [f"input_over = (is_busy_0 and ({over})) or (input_over and not is_busy_0)"]
    for l, delay in enumerate(delays_of(net).spikes[1:], 1):
        since = f"steps_taken - {delay}"
        lines.append(f"is_busy_{l} = is_step and {since} > 0 and {since} <= steps_shown")
    return _lines(lines)


def _targets_under_way(net: Definition) -> str:
    """Return the code that tells each hidden layer whether errors of a target arrive.

    Errors arrive if the layer above had a target in the last step. A window of steps, as in
    `_windows`, would not do, because any step may lack a target.
    """
    L = net.n_layers
    has = {l: f"has_target_{l}" for l in range(1, L)} | {L: "has_target"}
    now = [f"{has[l]} = is_step and not opens_sample and had_target_{l + 1}" for l in range(1, L)]
    had = [f"had_target_{l} = {has[l]} or (had_target_{l} and not is_step)" for l in has if l > 1]
    return _lines([*now, *had])


def _lines(lines: list[str]) -> str:
    return "\n        ".join(lines)


def input_code(net: Definition, shown: SourceExpressions) -> str:
    """Return the code of layer 0: rule 1."""
    if net.input_coding == "spikes":
        fire = """
        spike_count = int(is_busy)*(input_value + received_input)
        refused_values += int(spike_count != rounded(spike_count, 1)) \
            + int(binary*abs(spike_count) > 1)"""
    else:
        fire = """
        potential = int(not opens_sample)*potential \
            + int(is_busy)*rounded(input_factor*(input_value + received_input), units_per_one)
        overflows += outside(potential, value_limit)
        spike_count = int(is_busy)*signed_spikes(potential, binary)
        potential -= spike_count"""
    return f"""
        {input_value(shown) if shown.in_rows else ""}
        refused_values += int(is_busy)*outside(input_value + received_input, inf)
        {fire}
        received_input = int(not is_step)*received_input
        {_count(net)}
        {_SENT}
        """


def forward_code(net: Definition, l: int) -> str:
    """Return the code of layer l >= 1 once the spikes have arrived: rule 2."""
    divides = net.learning_rule.divides_rate
    return f"""
        arrived = int(is_busy)*drive
        summed_drive = int(not opens_sample)*summed_drive + arrived
        potential = int(not opens_sample)*potential + arrived
        overflows += outside(summed_drive, value_limit) + outside(potential, value_limit)
        drive = int(not is_step)*drive
        {"overflows += outside(squared_counts, count_limit)" if divides else ""}
        spike_count = int(is_busy)*rectified_spikes(potential, binary)
        potential -= spike_count
        {"" if l == net.n_layers else _count(net)}
        {_SENT}
        """


def input_value(shown: SourceExpressions) -> str:
    """Return the code that sets the input."""
    return "" if shown.input is None else f"input_value = {shown.input}"


def target_code(net: Definition, shown: SourceExpressions) -> str:
    """Return the code of the output that follows its `forward_code`: rule 3."""
    value, refused = shown.target, "outside(target_value + received_target, inf)"
    if shown.by_label:
        value = "wrong_target*int(i != label) + right_target*int(i == label)"
        # NaN is no class either.
        refused = "int(not (label < N and label == rounded(label, 1)))"
    return f"""
        {"" if value is None else f"target_value = {value}"}
        refused_values += int(has_target)*{refused}
        target_potential = int(not opens_sample)*target_potential \
            + int(has_target)*rounded(target_value + received_target, units_per_one)
        overflows += outside(target_potential, value_limit)
        received_target = int(not is_step)*received_target
        target_spikes = int(has_target)*signed_spikes(target_potential, binary)
        target_potential -= target_spikes
        {_add_earlier_errors(net, net.n_layers)}
        error = int(has_target and summed_drive >= 0)*(spike_count - target_spikes)
        {_sum_errors(net)}
        """


def backward_code(net: Definition, l: int) -> str:
    """Return the code of hidden layer l once the errors have arrived: rule 4."""
    return f"""
        backward_potential_before = int(opens_training)*backward_potential \
            + int(not opens_training)*backward_potential_before
        backward_potential *= 1 - starts_at_zero*int(opens_training)
        backward_potential += int(has_target)*backward_drive
        overflows += outside(backward_potential, value_limit)
        backward_drive = int(not is_step)*backward_drive
        spent = int(has_target)*signed_spikes(backward_potential, binary)
        backward_potential -= spent
        {_add_earlier_errors(net, l)}
        error = int(summed_drive >= 0)*spent
        {_sum_errors(net)}
        """


def pathways(net: Definition, l: int) -> tuple[dict[str, str], dict[str, str]]:
    """Return the code of the synapses into layer l: on events of layer l - 1, and of layer l."""
    below = {"forward": "drive_post += weight*spike_count_pre"}
    weight = "backward_weight" if has_backward_weights(net, l) else "weight"
    above = {"backward": f"backward_drive_pre += {weight}*error_post"} if l > 1 else {}
    if has_constant_weight(net, l):
        return below, above
    update = _update(net, l)
    if net.learning_rule.learns_once:
        return below, above | {"learn": update}
    if has_own_weights(net, l):
        # A synapse that has passed its error on may learn at once: no other reads its weight.
        return below, {"backward": f"{above.get('backward', '')}\n{update}"}
    return below, above | {"learn": update}


def event_of_pathway(net: Definition, name: str) -> str:
    """Return the event that a pathway of synapses follows."""
    learn = "learn" if net.learning_rule.learns_once else "error"
    return {"forward": "spike", "backward": "error", "learn": learn}[name]


def _count(net: Definition) -> str:
    """Return the code that counts the spikes of a sample."""
    code = """
        input_count = int(not opens_sample)*input_count + spike_count
        overflows += outside(input_count, count_limit) + outside(spike_count, count_limit)"""
    return code + _cut_off(net, "count", "input_count")


def _cut_off(net: Definition, what: str, variable: str) -> str:
    """Return the code that limits a variable, count or error, to what teaches."""
    if not net.learning_rule.cuts_off:
        return ""
    return f"""
        most_{what} = larger({what}_limit_of_sample, {what}_limit_of_step*steps_shown)
        teaching_{what} = within({variable}, -most_{what}, most_{what})"""


_SENT: Final = """
        spikes_sent += abs(spike_count)
        messages_sent += int(spike_count != 0)
        most_spikes = larger(most_spikes, abs(spike_count))"""


def _add_earlier_errors(net: Definition, l: int) -> str:
    """Return the code that adds the error of the step before, while there is none of this step."""
    if not has_variable(net, l, "earlier_errors"):
        return ""
    return "earlier_errors = int(not opens_sample)*(earlier_errors + abs(error))"


def _sum_errors(net: Definition) -> str:
    code = """
        errors_sent += abs(error)
        error_messages_sent += int(error != 0)
        most_errors = larger(most_errors, abs(error))"""
    if net.learning_rule.learns_once:
        code += "\n        summed_error = int(not opens_sample)*summed_error + error"
    return code + _cut_off(net, "error", _error_taught(net))


def _error_taught(net: Definition) -> str:
    """Return the variable from which weights learn: summed errors, or those of a step."""
    return "summed_error" if net.learning_rule.learns_once else "error"


def count_taught(net: Definition) -> str:
    """Return the variable with the counts from which weights learn."""
    return "teaching_count" if net.learning_rule.cuts_off else "input_count"


def _update(net: Definition, l: int) -> str:
    rule = net.learning_rule
    rate = "_own_rate" if rule.reads_squares else "update_rate"
    error = "teaching_error" if rule.cuts_off else _error_taught(net)
    change = f"{rate}*{count_taught(net)}_pre*{error}_post"
    learned = "input_count_pre" + ("*_own_rate" if rule.limits_gain else "")
    weight, travel = "weight", "weight_travel_pre"
    kept = f"sample_change = int(earlier_errors_post > 0)*sample_change + {change}"
    if not has_own_weights(net, l):
        weight, travel = "_kernel_weight", "_kernel_weight_travel"
        kept = f"_kernel_sample_change += {change}"
    return f"""
        {weight} -= {change}
        {kept if has_sample_change(net, l) else ""}
        {travel} += abs({change})
        weights_changed_pre += int({learned} != 0)
        """
