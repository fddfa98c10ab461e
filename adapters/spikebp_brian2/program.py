"""What a program of cpp_standalone takes from its arguments, so that it need not be built again.

Brian2 sets variables from the arguments of ``device.run``. From some of them the code here makes
the program follow more: the samples, whose file has the number `presentation`; the duration of the
run, which is longer or shorter by as much as these samples are; and whether monitors record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from brian2.devices.cpp_standalone.device import CPPStandaloneDevice

from spikebp_brian2.parts import NetworkOfParts
from spikebp_brian2.presented import TABLES, PresentedSamples, file_name
from spikebp_plugins.network.delays import delays_of


def name_in_program(mlp: NetworkOfParts, owner: Any, variable: str) -> str:
    """Return the C++ name of the array of a variable."""
    name: str = mlp.device.get_array_name(owner.variables[variable], False)
    return f"brian::{name}"


def follow_arguments(
    mlp: NetworkOfParts, presented: PresentedSamples, monitors: Iterable[Any]
) -> None:
    """Make the run that Brian2 has just written follow the arguments of the program.

    Parameters
    ----------
    mlp : NetworkOfParts
        The network.
    presented : PresentedSamples
        The samples that the run shows.
    monitors : iterable of EventMonitor and StateMonitor
        Those that record only if the variable `recording` of the schedule says so.
    """
    device: CPPStandaloneDevice = mlp.device
    function, (network, lines) = device.main_queue[-1]
    assert function == "run_network", function
    calls = {f"_run_{code.name});" for monitor in monitors for code in monitor._code_objects}
    recording = name_in_program(mlp, mlp.schedule, "recording")
    run = f"{network.name}.run("
    for index, line in enumerate(lines):
        if any(line.endswith(call) for call in calls):
            lines[index] = f"if ({recording}[0]) {line}"
        if line.startswith(run) and presented.is_replaceable and not mlp.ends_by_event:
            duration, others = line.removeprefix(run).split(",", 1)
            lines[index] = f"{run}{_longer(mlp, presented, duration)},{others}"
    if presented.is_replaceable:
        lines.insert(0, _read_samples(mlp, presented))


def _longer(mlp: NetworkOfParts, presented: PresentedSamples, duration: str) -> str:
    """Return a duration in C++, longer by as much as the samples take longer than those built."""

    def value(name: str) -> str:
        return f"{name_in_program(mlp, mlp.schedule, name)}[0]"

    more = delays_of(mlp.net).duration(0)
    built = presented.n_samples * (presented.n_steps + more)
    steps = f"double({value('n_presented')})*({value('steps_per_sample')} + {more}) - {built}"
    seconds = f"({steps})*{float(mlp.clock.dt) * mlp.constants['schedule', 'dts_per_step']!r}"
    if "std::max({" in duration:  # of another network in this run
        return duration.replace("std::max({", f"std::max({{{seconds}, ")
    return f"{duration} + std::max({{{seconds}}})"


def _read_samples(mlp: NetworkOfParts, presented: PresentedSamples) -> str:
    """Return C++ that reads samples in the place of those that the program was built with."""
    number = f"{name_in_program(mlp, mlp.schedule, 'presentation')}[0]"
    arrays = (f"&brian::{mlp.name}_{name}_{presented.number}_values" for name in TABLES)
    return f"""
        if ({number} != {presented.number}) {{
            const std::string name = "static_arrays/{file_name(mlp.name, '')}";
            std::ifstream file(name + std::to_string({number}), std::ios::binary);
            for (double **table : {{{", ".join(arrays)}}}) {{
                int64_t size = 0;
                file.read(reinterpret_cast<char *>(&size), sizeof size);
                delete[] *table;
                *table = new double[size];
                file.read(reinterpret_cast<char *>(*table), size * sizeof(double));
            }}
            if (!file) {{
                std::cerr << "cannot read " << name << {number} << std::endl;
                return 2;
            }}
        }}"""
