"""The step rules of docs/semantics.md as Brian2 equations and code.

Every string here is what a user finds in the objects. A step runs in this order:

===================  ===========================================================================
schedule             whether this dt is a step, of which sample, and whether it has a target
layer 0              rule 1: the input fires
layers 1..L          rule 2: the wave goes forward
layer L              rule 3: the output is compared with the target
synapses L..1        rules 4 and 5: errors go backward, weights learn
layers L-1..1        rule 4: backward potentials fire, in turn with the synapses
===================  ===========================================================================

With ``timing="pipelined"`` synapses come after all layers, forward and then backward, so that what
they carry is for the next step.

The names are those of the page spelled out: potential (phi), spike_count (k), drive (d),
summed_drive (s), input_count (c), backward_potential (psi), error (e), summed_error (E).
"""

from __future__ import annotations

from typing import Final

from spikebp_plugins import SpikingMLP
from spikebp_plugins.network.delays import delays_of

#: One neuron that says when steps, samples and learning happen.
SCHEDULE_EQUATIONS: Final = """
dts_per_step : integer         # a step takes so many dt
steps_per_sample : integer     # a sample takes so many steps
dts_waited : integer           # dt since the last step
is_step : boolean              # whether this dt is a step
steps_shown : integer          # steps of the present sample so far
sample_over : boolean          # whether the next step opens a sample
opens_sample : boolean         # whether this step is the first of its sample
closes_sample : boolean        # whether this step is the last of its sample
received_ends : 1              # events that end the sample
learning : boolean             # the user's switch
label : 1                      # the class of the sample; below 0 it is not known
has_target : boolean           # whether this step learns
in_training : boolean          # whether the present sample has learned
opens_training : boolean       # whether this step is the first of its sample that learns
samples_shown : 1              # closed samples
samples_seen : 1               # closed samples that have learned
training_sample : 1            # samples_seen before the present sample closes
"""

#: Further ones with timing="pipelined", where a sample goes on for some steps after its input, and
#: where steps_per_sample and steps_shown are steps of the input.
PIPELINE_EQUATIONS: Final = """
steps_taken : integer          # steps of the present sample so far
input_over : boolean           # whether the input of the present sample is over
"""

#: And of each layer l.
IS_BUSY_EQUATION: Final = "is_busy_{l} : boolean          # whether it fires in this dt\n"
HAS_TARGET_EQUATION: Final = "has_target_{l} : boolean       # whether it has errors of a target\n"
HAD_TARGET_EQUATION: Final = "had_target_{l} : boolean       # the same of the last step\n"

#: Variables of the schedule that layers read.
SCHEDULE_LINKS: Final = """
is_step : boolean (linked)
is_busy : boolean (linked)     # whether this dt is a step in which the layer fires
opens_sample : boolean (linked)
closes_sample : boolean (linked)
has_target : boolean (linked)
"""

#: The numbers of a definition. Variables, so that one compiled program serves all of them.
CONSTANTS: Final = """
units_per_one : 1 (shared, constant)    # grid units in 1
value_limit : 1 (shared, constant)      # the magnitude that no value reaches
count_limit : 1 (shared, constant)      # the magnitude that no count reaches
binary : 1 (shared, constant)           # whether a unit sends at most one spike a step
"""

#: Of every layer.
SPIKE_EQUATIONS: Final = """
potential : 1
spike_count : 1                # signed spikes in this dt
spikes_sent : 1                # their magnitudes, summed since the start
most_spikes : 1                # the largest of them in this run
overflows : 1                  # values that have left the range
"""

#: Of the layers that synapses start from.
COUNT_EQUATIONS: Final = """
input_count : 1                # net spikes of the present sample
weights_changed : 1            # changes of weights that start here
weight_travel : 1              # their magnitudes, summed in this run
"""

#: The same with presynaptic="drive".
TEACHING_EQUATIONS: Final = """
teaching : 1                   # the rate times the summed drive: what an error teaches with
update_rate : 1 (shared, constant)
"""

#: Of the layers that synapses lead to.
ERROR_EQUATIONS: Final = """
drive : 1                      # what has arrived for this step
summed_drive : 1               # the drive of the present sample
error : 1                      # signed error spikes in this dt
errors_sent : 1                # their magnitudes, summed since the start
most_errors : 1                # the largest of them in this run
"""

INPUT_EQUATIONS: Final = """
input_value : 1                # what every step shows
received_input : 1             # what has arrived since the last step
input_scale : 1 (shared, constant)
"""

#: With input_coding="spikes".
GIVEN_SPIKES_EQUATION: Final = "not_counts : 1                 # inputs that were no spike counts\n"

BACKWARD_EQUATIONS: Final = """
backward_potential : 1
backward_drive : 1             # what has arrived for this step
"""

UNIFORM_EQUATIONS: Final = """
training_sample : 1 (linked)
drawn_before : 1 (shared, constant)     # units of the layers below
seed_of_draws : 1 (shared, constant)
bits_of_draws : 1 (shared, constant)
"""

OUTPUT_EQUATIONS: Final = """
label : 1 (linked)
target_value : 1               # what every step shows
received_target : 1            # what has arrived since the last step
target_potential : 1
"""

SYNAPSES_EQUATIONS: Final = "weight : 1\n"

#: With presynaptic="counts".
RATE_EQUATION: Final = "update_rate : 1 (shared, constant)\n"


def schedule_equations(net: SpikingMLP) -> str:
    """Return the equations of the schedule."""
    if delays_of(net).are_zero:
        return SCHEDULE_EQUATIONS
    L = net.n_layers
    parts = [SCHEDULE_EQUATIONS, PIPELINE_EQUATIONS]
    parts += [IS_BUSY_EQUATION.format(l=l) for l in range(L + 1)]
    parts += [HAS_TARGET_EQUATION.format(l=l) for l in range(1, L)]
    parts += [HAD_TARGET_EQUATION.format(l=l) for l in range(2, L + 1)]
    return "".join(parts)


def linked_name(net: SpikingMLP, l: int, name: str) -> str:
    """Return the variable of the schedule that a linked variable of layer l is."""
    if delays_of(net).are_zero:
        return "is_step" if name == "is_busy" else name
    is_delayed = name == "is_busy" or (name == "has_target" and 0 < l < net.n_layers)
    return f"{name}_{l}" if is_delayed else name


def layer_equations(net: SpikingMLP, l: int) -> str:
    """Return the equations of layer l."""
    L = net.n_layers
    parts = [SCHEDULE_LINKS, CONSTANTS, SPIKE_EQUATIONS]
    parts.append(INPUT_EQUATIONS if l == 0 else ERROR_EQUATIONS)
    parts.append(OUTPUT_EQUATIONS if l == L else COUNT_EQUATIONS)
    if l < L and net.presynaptic == "drive":
        parts.append(TEACHING_EQUATIONS)
    if l == 0 and net.input_coding == "spikes":
        parts.append(GIVEN_SPIKES_EQUATION)
    if 0 < l < L:
        parts.append(BACKWARD_EQUATIONS)
        if net.backward_init != "carry":
            parts.append("opens_training : boolean (linked)\n")
        if net.backward_init == "uniform":
            parts.append(UNIFORM_EQUATIONS)
    if l > 0 and net.update == "outer":
        parts.append("in_training : boolean (linked)\n")
        parts.append("summed_error : 1               # the errors of the present sample\n")
    return "".join(parts)


def has_variable(net: SpikingMLP, l: int, name: str) -> bool:
    """Return whether layer l has a variable."""
    return f"\n{name} : " in layer_equations(net, l)


def layer_events(net: SpikingMLP, l: int) -> dict[str, str]:
    """Return the events of layer l and their conditions."""
    events = {"spike": "spike_count != 0"}
    if l > 0:
        events["error"] = "error != 0"
        if net.update == "outer":
            events["learn"] = "closes_sample and in_training and summed_error != 0"
        if l == net.n_layers:
            events["sample_end"] = "closes_sample"
        elif net.backward_init != "carry":
            events["training_begins"] = "opens_training"
    return events


def synapses_equations(net: SpikingMLP, l: int) -> str:
    """Return the equations of the synapses that lead into layer l."""
    rate = RATE_EQUATION if net.presynaptic == "counts" else ""
    backward = l > 1 and net.feedback == "random"
    return SYNAPSES_EQUATIONS + rate + ("backward_weight : 1 (constant)\n" if backward else "")


def schedule_code(net: SpikingMLP, label: str | None, by_label: bool) -> str:
    """Return the code of the schedule.

    `label` is an expression for the label, or None where it is a variable; `by_label` says whether
    targets are labels.

    A variable is never set to another and one of the two changed in place afterwards: NumPy code
    would change both.
    """
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
        {"" if label is None else f"label = {label}"}
        has_target = {answers} and learning{" and label >= 0" if by_label else ""}
        {targets}
        in_training = in_training and not opens_sample
        opens_training = has_target and not in_training
        in_training = in_training or has_target
        closes_sample = is_step and ({over})
        received_ends = int(not is_step)*received_ends
        sample_over = closes_sample or (sample_over and not is_step)
        samples_shown += int(closes_sample)
        samples_seen += int(closes_sample and in_training)
        training_sample = samples_seen - int(closes_sample and in_training)
        """


def _windows(net: SpikingMLP, over: str) -> str:
    """Return what says when layers fire: each for as many steps as the input was shown."""
    lines = [f"input_over = (is_busy_0 and ({over})) or (input_over and not is_busy_0)"]
    for l, delay in enumerate(delays_of(net).spikes[1:], 1):
        since = f"steps_taken - {delay}"
        lines.append(f"is_busy_{l} = is_step and {since} > 0 and {since} <= steps_shown")
    return _lines(lines)


def _targets_under_way(net: SpikingMLP) -> str:
    """Return what tells each hidden layer whether the layer above had a target in the last step.

    Not a window of steps like the others, because a target may be missing in any step.
    """
    L = net.n_layers
    has = {l: f"has_target_{l}" for l in range(1, L)} | {L: "has_target"}
    now = [f"{has[l]} = is_step and not opens_sample and had_target_{l + 1}" for l in range(1, L)]
    had = [f"had_target_{l} = {has[l]} or (had_target_{l} and not is_step)" for l in has if l > 1]
    return _lines([*now, *had])


def _lines(lines: list[str]) -> str:
    return "\n        ".join(lines)


def input_code(net: SpikingMLP) -> str:
    """Return the code of layer 0: rule 1."""
    if net.input_coding == "spikes":
        fire = """
        spike_count = int(is_busy)*(input_value + received_input)
        not_counts += int(spike_count != rounded(spike_count, 1) or binary*abs(spike_count) > 1)"""
    else:
        fire = f"""
        potential = int(not opens_sample)*potential \
            + int(is_busy)*{_on_grid(net, "input_scale*(input_value + received_input)")}
        overflows += outside(potential, value_limit)
        spike_count = int(is_busy)*signed_spikes(potential, binary)
        potential -= spike_count"""
    return f"""
        {fire}
        received_input = int(not is_step)*received_input
        {_COUNT}
        {_teach(net, "(potential + input_count)")}
        {_SENT}
        """


def forward_code(net: SpikingMLP, l: int) -> str:
    """Return the code of layer l >= 1 once the spikes have arrived: rule 2."""
    return f"""
        arrived = int(is_busy)*drive
        summed_drive = int(not opens_sample)*summed_drive + arrived
        potential = int(not opens_sample)*potential + arrived
        overflows += outside(summed_drive, value_limit) + outside(potential, value_limit)
        drive = int(not is_step)*drive
        spike_count = int(is_busy)*rectified_spikes(potential, binary)
        potential -= spike_count
        {"" if l == net.n_layers else _COUNT + _teach(net, "larger(summed_drive, 0)")}
        {_SENT}
        """


def target_code(net: SpikingMLP, value: str | None, by_label: bool) -> str:
    """Return the code of the output that follows its `forward_code`: rule 3."""
    if by_label:
        value = "int(i == label)"
    entering = _on_grid(net, "target_value + received_target")
    return f"""
        {"" if value is None else f"target_value = {value}"}
        target_potential = int(not opens_sample)*target_potential + int(has_target)*{entering}
        overflows += outside(target_potential, value_limit)
        received_target = int(not is_step)*received_target
        target_spikes = int(has_target)*signed_spikes(target_potential, binary)
        target_potential -= target_spikes
        error = int(has_target and summed_drive >= 0)*(spike_count - target_spikes)
        {_sum_errors(net)}
        """


def restart_code(net: SpikingMLP) -> str:
    """Return what sets backward potentials before the first step of a sample that learns."""
    if net.backward_init == "zero":
        return "backward_potential = 0"
    draw = "seed_of_draws, training_sample, drawn_before + i, bits_of_draws"
    return f"backward_potential = drawn_backward_potential({draw})"


def backward_code(net: SpikingMLP) -> str:
    """Return the code of hidden layers once the errors have arrived: rule 4."""
    return f"""
        backward_potential += int(has_target)*backward_drive
        overflows += outside(backward_potential, value_limit)
        backward_drive = int(not is_step)*backward_drive
        spent = int(has_target)*signed_spikes(backward_potential, binary)
        backward_potential -= spent
        error = int(summed_drive >= 0)*spent
        {_sum_errors(net)}
        """


def pathways(net: SpikingMLP, l: int) -> tuple[dict[str, str], dict[str, str]]:
    """Return the code of the synapses into layer l, on events below and on events above them."""
    below = {"forward": "drive_post += weight*spike_count_pre"}
    weight = "weight" if net.feedback == "transpose" else "backward_weight"
    backward = f"backward_drive_pre += {weight}*error_post" if l > 1 else ""
    if net.update == "fractional":
        return below, {"backward": f"{backward}\n{_update(net, 'error_post')}"}
    above = {"backward": backward} if backward else {}
    return below, above | {"learn": _update(net, "summed_error_post")}


def _on_grid(net: SpikingMLP, value: str) -> str:
    return f"rounded({value}, units_per_one)" if net.arithmetic == "fixed" else f"({value})"


_COUNT: Final = """
        input_count = int(not opens_sample)*input_count + spike_count
        overflows += outside(input_count, count_limit) + outside(spike_count, count_limit)"""


_SENT: Final = """
        spikes_sent += abs(spike_count)
        most_spikes = larger(most_spikes, abs(spike_count))"""


def _sum_errors(net: SpikingMLP) -> str:
    code = """
        errors_sent += abs(error)
        most_errors = larger(most_errors, abs(error))"""
    if net.update == "outer":
        code += "\n        summed_error = int(not opens_sample)*summed_error + error"
    return code


def _teach(net: SpikingMLP, summed: str) -> str:
    """Return what a layer teaches with, where it has to be rounded: exactly, or an overflow."""
    if net.presynaptic == "counts":
        return ""
    return f"""
        scaled_drive = update_rate*{summed}
        overflows += outside({summed}, value_limit) \
            + outside(scaled_drive, value_limit/units_per_one)
        teaching = {_on_grid(net, "scaled_drive")}"""


def _update(net: SpikingMLP, error: str) -> str:
    if net.presynaptic == "drive":
        teacher, change = "teaching_pre", f"teaching_pre*{error}"
    else:
        teacher, change = "input_count_pre", f"update_rate*input_count_pre*{error}"
    return f"""
        weight -= {change}
        weight_travel_pre += abs({change})
        weights_changed_pre += int({teacher} != 0)
        """
