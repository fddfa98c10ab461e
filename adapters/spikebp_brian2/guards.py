"""Guards against changes by a script after which a network would compute something else.

==============================================  ===========  =======================================
what a script may do                            found        because
==============================================  ===========  =======================================
run some of the parts, or take one out          before       a step is that of all of them
move a part to another slot, order or clock,    before       the order of their code is that of the
give it other code or a delay, switch it off                 forward and the backward pass
read its counts behind a delay                  before       by then they are those of another step
write into the ends of synapses                 before       they are those of the definition
move a source, or its clock                     before       its spikes are waited for where it was
let a faster group send between two steps       before       its spikes would count in the next
set numbers of the definition or of the step    both         it would be another network
set weights, potentials or counts that rules    both         they are off the grid, where sums are
cannot compute                                               rounded
write them while it runs                        before       once they are back on the grid nobody
                                                             finds it
restore a state from before samples came        before       they are no longer there
present what is no input, learn a label that    after        expressions and spikes have no values
is no class                                                  before
let numbers grow beyond what doubles hold       after        sums are rounded (`range_check.py`)
==============================================  ===========  =======================================

"Before" and "after" are those of a run. What is found after a run in this process undoes it; after
an error of the script's own that is when anything is read or run again.
A program checks its own values before its first run; what is found after it is raised by whatever
reads what it has learned. `ProgramSettings` says that a program was given what was set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from brian2 import Network, Synapses
from brian2.codegen.translation import get_identifiers_recursively
from brian2.core.spikesource import SpikeSource
from brian2.devices.device import RuntimeDevice
from brian2.equations.equations import PARAMETER
from brian2.groups.group import CodeRunner
from brian2.groups.neurongroup import Resetter, Thresholder
from brian2.synapses.synapses import SummedVariableUpdater, SynapticPathway
from numpy.typing import NDArray

from spikebp_brian2 import rules
from spikebp_brian2.parts import NetworkOfParts, PartSynapses, VariableKey, whole_group
from spikebp_brian2.range_check import check_on_grid, prove_range
from spikebp_brian2.sources import fires_at
from spikebp_brian2.variables import (
    name_in_program,
    read_seen,
    read_state,
    reader,
    seen_places,
)
from spikebp_brian2.wiring import ends
from spikebp_plugins.network.state import RealState

#: The time for which clocks with different dt agree in programs of cpp_standalone. These compare
#: times, multiples of dt in doubles, with a tolerance of 1e-14 s. Rounding exceeds it after 90 s.
SECONDS_OF_AGREEMENT: Final = 45

#: Variables of layers that hold multiples of 2^-f, and those that hold whole numbers.
GRID_VARIABLES: Final = frozenset(
    {"potential", "drive", "summed_drive", "target_potential", "backward_drive"}
)
COUNT_VARIABLES: Final = frozenset({"spike_count", "input_count", "error", "summed_error"})

#: What a script may write while it runs: variables of the input, the schedule and the output.
WRITABLE: Final = (
    ("input_value", "received_input"),
    ("label", "learning"),
    ("target_value", "received_target"),
)

#: A statement that sets a variable, as Brian2 reads it.
STATEMENT: Final = re.compile(r"\s*(\w+)\s*(?:[-+*/%&^|]|//|\*\*|>>|<<)?=(?!=)")

_STAYS: Final = "must stay {}, as definition and step have it"


Object = TypeVar("Object")


class RunPlace(NamedTuple):
    """The clock, slot and order in which a part of the network runs."""

    runner: Any
    when: str
    order: int
    clock: Any
    code: str | None


class RunGuard:
    """Guards the runs of a network.

    Parameters
    ----------
    mlp : NetworkOfParts
        The network, as it was made.
    deliveries : list of PartSynapses
        The synapses that bring spikes of sources.
    sources : list of tuple of SpikeSource, str and int
        The sources, with the slot in which each fires, and its order there.

    Attributes
    ----------
    made : list of RunPlace
        When the parts run that were made with the network. What the user adds to them later is not
        among these; Brian2 compiles it as usual.
    places : list of RunPlace
        The same, and when deliveries run.
    """

    def __init__(
        self,
        mlp: NetworkOfParts,
        deliveries: list[PartSynapses],
        sources: list[tuple[SpikeSource, str, int]],
    ) -> None:
        self._mlp, self._sources = mlp, sources
        self.made = run_places(mlp.parts.values())
        self.places = self.made + run_places(deliveries)
        self._before: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def check_script(self, end: float) -> None:
        """Check that a run, which ends at `end` seconds, is one of the network as it was made."""
        check_contained(self._mlp, self.places)
        check_places(self._mlp, self.places)
        if isinstance(self._mlp.device, RuntimeDevice):
            check_delays(self._mlp, self.places)
        check_sources(self._mlp, self._sources)
        check_senders(self._mlp)
        check_writers(self._mlp, self.places)
        check_clocks(self._mlp, self.places, end)

    def begin_run(self) -> None:
        """Check the values with which a run in this process begins, and keep them."""
        mlp = self._mlp
        check_ends(mlp)
        self.check_state()
        for part, name in seen_places(mlp.net):
            mlp.parts[part].variables[name].set_value(0)
        # A run of a user's may change any variable.
        arrays = (
            part.variables[name].get_value()
            for part in mlp.parts.values()
            for name, equation in part.equations.items()
            if equation.type == PARAMETER and "linked" not in equation.flags
        )
        self._before = [(array, array.copy()) for array in arrays]

    def end_run(self) -> None:
        """Prove that a run in this process was exact and ended on the grid, or undo it.

        Raises
        ------
        OverflowError, ValueError
            If it cannot be proved.
        """
        try:
            self.prove()
        except (OverflowError, ValueError):
            self.undo_run()
            raise
        finally:
            self._before = []

    def undo_run(self) -> None:
        """Return to the values with which a run in this process has begun."""
        for array, before in self._before:
            array[:] = before

    def prove(self) -> None:
        """Prove that the last run was exact, and ended on the grid.

        Raises
        ------
        OverflowError
            If a number left its range, or may have.
        ValueError
            If input was no spike count, a label no class, or a value is off the grid.
        """
        net, read = self._mlp.net, reader(self._mlp)
        state = read_state(net, read)
        prove_range(net, state, read_seen(net, read))
        self._check(state)

    def check_state(self) -> None:
        """Check that the learning state is on the grid, and of this definition."""
        self._check(read_state(self._mlp.net, reader(self._mlp)))

    def _check(self, state: RealState) -> None:
        if isinstance(self._mlp.device, RuntimeDevice):
            check_constants(self._mlp, self._mlp.constants)
        check_on_grid(self._mlp.net, state)
        check_sample(self._mlp)


def run_places(parts: Iterable[Any]) -> list[RunPlace]:
    """Return when the parts run now."""
    return [
        RunPlace(runner, runner.when, runner.order, runner.clock, _code(runner))
        for part in parts
        for runner in part.contained_objects
        if isinstance(runner, CodeRunner)
    ]


def _code(runner: Any) -> str | None:
    """Return the code of a pathway, or the condition of an event; other code has no handle."""
    if isinstance(runner, Thresholder):
        condition: str = runner.group.events[runner.event]
        return condition
    return getattr(runner, "code", None)


def check_contained(mlp: NetworkOfParts, made: list[RunPlace]) -> None:
    """Check that all parts are in the network still.

    Raises
    ------
    ValueError
        If one was taken out.
    """
    parts = mlp.contained_objects
    there = {one.name for part in parts for one in (part, *part.contained_objects)}
    for one in (*mlp.parts.values(), *(runner for runner, *_ in made)):
        if one.name not in there:
            raise ValueError(f"{one.name!r} must stay in its network, {mlp.name!r}")


def check_ends(mlp: NetworkOfParts) -> None:
    """Check that synapses join the units that the definition says.

    Brian2 hands out the array of their ends itself, which can be written into.

    Raises
    ------
    ValueError
        If some do not.
    """
    for synapses, connection in zip(mlp.synapses, mlp.net.connections, strict=True):
        for name, units in zip(("i", "j"), ends(connection), strict=True):
            if not np.array_equal(synapses.variables[name].get_value(), units):
                raise ValueError(
                    f"{synapses.name}.{name} must be the units that its connection joins; "
                    "the array was written into"
                )


def check_places(mlp: NetworkOfParts, made: list[RunPlace]) -> None:
    """Check that all parts run when they did when the network was made.

    Raises
    ------
    ValueError
        If a part is inactive, or runs at another time or other code.
    """
    for part in mlp.parts.values():
        _check_active(mlp, part)
    for runner, when, order, clock, code in made:
        _check_active(mlp, runner)
        if (runner.when, runner.order) != (when, order):
            raise ValueError(
                f"{runner.name!r} must stay in slot {when!r} at order {order}, its place in a "
                f"step of {mlp.name!r}; it was moved to {runner.when!r}, {runner.order}"
            )
        if runner.clock is not clock:
            raise ValueError(f"{runner.name!r} must stay on the clock that it was made with")
        if _code(runner) != code:
            raise ValueError(f"{runner.name!r} must keep the code {code!r}; got {_code(runner)!r}")


def _check_active(mlp: NetworkOfParts, part: Any) -> None:
    if not part.active:
        raise ValueError(
            f"{part.name!r} must be active, like its network {mlp.name!r}; to stop learning, set "
            "learning=False"
        )


def objects_run_with(mlp: NetworkOfParts, kind: type[Object]) -> list[Object]:
    """Return the objects of a class that are in a network of Brian2 with this one.

    What a script has left behind, and runs no more, may still be alive.
    """
    scripts = [reference() for reference in Network.__instances__()]
    runs = [script.sorted_objects for script in scripts if script is not None]
    return [one for run in runs if mlp in run for one in run if isinstance(one, kind)]


def pathways_without_delay(mlp: NetworkOfParts, made: list[RunPlace]) -> dict[SynapticPathway, str]:
    """Return why pathways must not have a delay: those of the network, and those that read it."""
    found = {
        one.runner: "since the timing of the definition is exact"
        for one in made
        if isinstance(one.runner, SynapticPathway)
    }
    layers = {layer.name for layer in mlp.layers}
    for pathway in objects_run_with(mlp, SynapticPathway):
        layer, variables = whole_group(pathway.source).name, pathway.synapses.variables
        if pathway in found or not pathway.active or layer not in layers:
            continue
        read = get_identifiers_recursively([pathway.code or ""], variables) & variables.keys()
        for name in sorted(name for name in read if name.endswith(f"_{pathway.prepost}")):
            owner = getattr(variables[name], "owner", None)
            if owner is not None and owner.name == layer and not variables[name].constant:
                found[pathway] = (
                    f"since {name} is read when the spike arrives, and may be that of another step "
                    "by then (let a group of yours read it, and delay what that sends)"
                )
    return found


def check_delays(mlp: NetworkOfParts, made: list[RunPlace]) -> None:
    """Check that no spike within the network is delayed, and none whose count is read.

    Raises
    ------
    ValueError
        If one is.
    """
    for pathway, reason in pathways_without_delay(mlp, made).items():
        delay = np.asarray(pathway.variables["delay"].get_value())
        if delay.any():
            got = f"{np.max(np.abs(delay))} s"
            raise ValueError(f"the delay of {pathway.name!r} must be 0, {reason}; got {got}")


def check_delays_in_program(mlp: NetworkOfParts, made: list[RunPlace]) -> str:
    """Return C++ for the check of `check_delays`: only the program knows delays."""
    checks = []
    for pathway, reason in pathways_without_delay(mlp, made).items():
        delays = name_in_program(mlp, pathway, "delay")
        message = f"the delay of '{pathway.name}' must be 0, {reason}"
        checks.append(_check_in_program(delays, f"{delays}.size()", "v == 0.0", message, " s"))
    return "".join(checks)


def check_sources(mlp: NetworkOfParts, sources: list[tuple[SpikeSource, str, int]]) -> None:
    """Check that sources fire in the slots of when the network was made, for which it waits.

    Raises
    ------
    ValueError
        If a source was moved to another slot or order.
    """
    for source, *place in sources:
        if list(fires_at(source)) != place:
            raise ValueError(
                f"{source.name!r}, whose spikes {mlp.name!r} receives, must fire in slot "
                f"{place[0]!r} at order {place[1]}, as when the network was made"
            )


def check_senders(mlp: NetworkOfParts) -> None:
    """Check that no spikes of a user's synapses arrive between the ticks of a network.

    A step on a clock of its own is computed at its beginning. Spikes that arrive later would count
    in the next step, and with its label.

    Raises
    ------
    ValueError
        If synapses of the user's lead from a group with another clock to the input or the output.
    """
    if not mlp.has_own_clock:
        return
    outermost = (mlp.layers[0].name, mlp.layers[-1].name)
    for synapses in objects_run_with(mlp, Synapses):
        if whole_group(synapses.target).name not in outermost or not synapses.active:
            continue
        arrives = any("received_" in (pathway.code or "") for pathway in synapses._pathways)
        if arrives and synapses.source.clock.dt_ < mlp.clock.dt_:
            raise ValueError(
                f"{synapses.name!r} brings spikes every {synapses.source.clock.dt} to "
                f"{mlp.name!r}, which takes a step of {mlp.clock.dt} at its beginning; give it "
                "clock=defaultclock, and steps are taken at their end, or the group as its input"
            )


def require_writable(mlp: NetworkOfParts, who: str, variable: Any) -> None:
    """Raise RuntimeError if a variable of a network must not be written while it runs.

    Parameters
    ----------
    mlp : NetworkOfParts
        The network.
    who : str
        What writes.
    variable : Variable
        The variable, of this network or of anything else.
    """
    parts = (mlp.layers[0], mlp.schedule, mlp.layers[-1])
    if any(
        variable is part.variables[name]
        for part, names in zip(parts, WRITABLE, strict=True)
        for name in names
    ):
        return
    if any(variable is part.variables.get(variable.name) for part in mlp.parts.values()):
        allowed = ", ".join(name for names in WRITABLE for name in names)
        raise RuntimeError(
            f"{who} must not write {variable.owner.name}.{variable.name} while {mlp.name!r} runs: "
            f"set it between runs; during a run one can set {allowed}"
        )


def check_writers(mlp: NetworkOfParts, made: list[RunPlace]) -> None:
    """Check that code of the script's writes nothing in a run but what is its own to set.

    Raises
    ------
    RuntimeError
        If it writes anything else.
    """
    ours = {id(one.runner) for one in made}
    for runner in objects_run_with(mlp, CodeRunner):
        if id(runner) not in ours and runner.active:
            for variable in _written(runner):
                require_writable(mlp, repr(runner.name), variable)


def _written(runner: CodeRunner) -> list[Any]:
    """Return the variables that code sets in each dt, or for each spike."""
    if isinstance(runner, SummedVariableUpdater):
        return [runner.target_var]
    if isinstance(runner, Resetter):
        code = runner.group.event_codes[runner.event]
    else:
        code = getattr(runner, "code", None) or runner.abstract_code
    names = map(STATEMENT.match, re.split("[;\n]", code))
    variables = runner.group.variables
    return [variables[name[1]] for name in names if name and name[1] in variables]


def check_clocks(mlp: NetworkOfParts, made: list[RunPlace], end: float) -> None:
    """Check that a program will recognize simultaneous ticks of two clocks.

    Raises
    ------
    ValueError
        If sources have another dt, and the run is so long that rounding sets the clocks apart.
    """
    others = {str(one.clock.dt) for one in made if one.clock.dt_ != mlp.clock.dt_}
    if others and end > SECONDS_OF_AGREEMENT and not isinstance(mlp.device, RuntimeDevice):
        raise ValueError(
            f"the sources of {mlp.name!r} must have its dt, {mlp.clock.dt}, in runs of "
            f"cpp_standalone that go beyond {SECONDS_OF_AGREEMENT} s, since rounding sets clocks "
            f"apart; they have {', '.join(sorted(others))}"
        )


def check_sample(mlp: NetworkOfParts) -> None:
    """Check the state of the present sample and the counts, which a script may have set.

    Raises
    ------
    ValueError
        If it is none of the numbers that rules compute.
    """
    bits = mlp.net.fraction_bits or 0
    for names, units, allowed in (
        (GRID_VARIABLES, 2.0**bits, f"multiples of 2**-{bits}"),
        (COUNT_VARIABLES, 1.0, "whole numbers"),
    ):
        for layer in mlp.layers:
            for name in names & layer.variables.keys():
                values = layer.variables[name].get_value()
                off = values * units != np.rint(values * units)
                if off.any():
                    got = values[off][0]
                    raise ValueError(f"{layer.name}.{name} must hold {allowed}; got {got}")
    seen = float(mlp.schedule.variables["samples_seen"].get_value()[0])
    if not (seen >= 0 and seen.is_integer()):
        raise ValueError(
            f"{mlp.schedule.name}.samples_seen must be a whole number of at least 0; got {seen}"
        )


def check_constants(mlp: NetworkOfParts, constants: Mapping[VariableKey, float]) -> None:
    """Check that the numbers of definition and step have not been changed.

    Raises
    ------
    ValueError
        If one is not.
    """
    for (part, name), value in constants.items():
        found = mlp.parts[part].variables[name].get_value()[0]
        if found != value:
            raise ValueError(f"{mlp.parts[part].name}.{name} {_STAYS.format(value)}; got {found}")


def check_constants_in_program(mlp: NetworkOfParts, constants: Mapping[VariableKey, float]) -> str:
    """Return C++ for the check of `check_constants`, except for rates, which arguments may set."""
    checks = []
    for (part, name), value in constants.items():
        if name != "update_rate":
            owner = mlp.parts[part]
            message = f"{owner.name}.{name} {_STAYS.format(value)}"
            held = name_in_program(mlp, owner, name)
            checks.append(_check_in_program(held, 1, f"v == {value!r}", message))
    return "".join(checks)


def check_values_in_program(mlp: NetworkOfParts) -> str:
    """Return C++ that checks what `check_on_grid` and `check_sample` do: only the program knows it.

    It runs before each run of the program.
    """
    units, limit = (
        f"{name_in_program(mlp, mlp.layers[0], variable)}[0]"
        for variable in ("units_per_one", "value_limit")
    )
    checks = [
        _check_multiples_in_program(mlp, layer, variable, size, scale)
        for names, scale in ((GRID_VARIABLES, "units"), (COUNT_VARIABLES, "1.0"))
        for layer, size in zip(mlp.layers, mlp.net.layer_sizes, strict=True)
        for variable in sorted(names & layer.variables.keys())
    ]
    for l, connection in enumerate(mlp.net.connections, 1):
        if not rules.has_constant_weight(mlp.net, l):
            part, size = mlp.parts[rules.part_with_weights(mlp.net, l)], connection.weight_shape
            checks += [
                _check_multiples_in_program(mlp, part, variable, math.prod(size), "units")
                for variable in ("weight", "backward_weight")
                if variable in part.variables
            ]
    return f"{{ const double units = {units}, limit = {limit}; {''.join(checks)} }}"


def _check_multiples_in_program(
    mlp: NetworkOfParts, part: Any, variable: str, size: int, scale: str
) -> str:
    """Return C++ that checks that a variable holds multiples of 1/scale, below the limit."""
    allowed = f'multiples of 1/" << {scale} << " below " << limit << "'
    return _check_in_program(
        name_in_program(mlp, part, variable),
        size,
        f"fabs(v) < limit && rint(v * {scale}) == v * {scale}",
        f"{part.name}.{variable} must hold {allowed}",
    )


def _check_in_program(
    array: str, size: int | str, condition: str, message: str, unit: str = ""
) -> str:
    """Return C++ that ends the program with a message unless all values v meet a condition."""
    return f"""
        for (size_t n = 0; n < {size}; n++) {{
            const double v = {array}[n];
            if (!({condition})) {{
                std::cerr << "{message}; got " << v << "{unit}" << std::endl;
                return 2;
            }}
        }}"""
