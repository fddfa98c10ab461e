"""Arguments of a program of cpp_standalone, so that it need not be built again.

Brian2 sets variables from the arguments of ``device.run``. From some of them the code here makes
the program follow more: the samples, whose file has the number `presentation`; the duration of the
run, which is longer or shorter by as much as these samples are; and whether monitors record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from brian2.core.variables import VariableView
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice

from spikebp_brian2.guards import check_constants
from spikebp_brian2.parts import NetworkOfParts, VariableKey
from spikebp_brian2.presented_samples import TABLES, PresentedSamples, file_name
from spikebp_brian2.variables import learned, name_in_program
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.state import LearningState

#: The variable with the number of settings made before the program got its arguments.
SETTINGS: Final = ("schedule", "settings")


class ProgramSettings:
    """The settings of the next run of a built program.

    Parameters
    ----------
    mlp : NetworkOfParts
        The network.

    Attributes
    ----------
    constants : dict of tuple of str to float
        The constants with which the program has run last, or was written.
    """

    def __init__(self, mlp: NetworkOfParts) -> None:
        self._mlp = mlp
        self.constants = mlp.constants.copy()
        self._values: dict[VariableKey, Any] = {}
        self._n_changes = self._run_at_change = 0

    @property
    def is_built(self) -> bool:
        """Whether the program is built, or being built."""
        return getattr(self._mlp.device, "project_dir", None) is not None

    def get(self, place: VariableKey) -> Any:
        """Return the value that was set for a variable; None if there is none."""
        return self._values.get(place)

    def change(self, values: Mapping[VariableKey, Any]) -> None:
        """Set variables from the next run on, whether the program is built or not."""
        if self.is_built:
            self._values |= values
            self._n_changes, self._run_at_change = self._n_changes + 1, self.time_of_run()
            return
        for (part, name), value in values.items():
            self._mlp.parts[part].variables[name].set_value(value)

    def arguments(self, state: LearningState | None) -> dict[VariableView, Any]:
        """Return the arguments of a run that goes on from a learning state, or from the start."""
        mlp = self._mlp
        values = mlp.constants | self._values | {SETTINGS: self._n_changes}
        if state is not None:
            values |= learned(mlp.net, state)
        self.constants = mlp.constants.copy()
        # Brian2 assumes that a run is as long as the one before.
        mlp.device.array_cache[mlp.clock.variables["timestep"]] = None
        for variable in mlp.device.dynamic_arrays_2d:
            variable.size = 0, variable.size[1]
        return {getattr(mlp.parts[part], name): value for (part, name), value in values.items()}

    def check(self) -> None:
        """Check that the last run got the settings and had the numbers of the definition.

        Raises
        ------
        RuntimeError
            If something was set since the program was built, of which the last run knew nothing.
        ValueError
            If a number of the definition is another.
        """
        was_given = int(self._mlp.schedule.settings[0]) == self._n_changes
        if not was_given and self.time_of_run() != self._run_at_change:
            raise RuntimeError(
                f"the program of {self._mlp.name!r} was run without what was set since it was "
                "built: device.run(run_args=mlp.run_args()) runs it with that"
            )
        check_constants(self._mlp, self.constants)

    def time_of_run(self) -> int:
        """Return when the program has run last; 0 if it has not."""
        device = self._mlp.device
        file = Path(device.results_dir) / "last_run_info.txt"
        return file.stat().st_mtime_ns if device.has_been_run else 0


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
        The monitors that record only while the variable `recording` of the schedule is true.
    """
    device: CPPStandaloneDevice = mlp.device
    takes_samples = presented.is_replaceable and not presented.is_begun
    _, (network, lines) = device.main_queue[-1]
    calls = {f"_run_{code.name});" for monitor in monitors for code in monitor._code_objects}
    recording = name_in_program(mlp, mlp.schedule, "recording")
    for index, line in enumerate(lines):
        if any(line.endswith(call) for call in calls):
            lines[index] = f"if ({recording}[0]) {line}"
    if not takes_samples:
        return
    if not mlp.ends_by_event:
        run = f"{network.name}.run("
        (index,) = (index for index, line in enumerate(lines) if line.startswith(run))
        duration, others = lines[index].removeprefix(run).split(",", 1)
        lines[index] = f"{run}{_longer(mlp, presented, duration)},{others}"
    lines.insert(0, _read_samples(mlp, presented))


def _longer(mlp: NetworkOfParts, presented: PresentedSamples, duration: str) -> str:
    """Return a duration in C++, extended by the time that new samples take longer."""

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
            const std::string name = "static_arrays/{file_name(mlp.name, "")}";
            std::ifstream file(name + std::to_string({number}), std::ios::binary);
            for (double **table : {{{", ".join(arrays)}}}) {{
                int64_t size = 0, item_size = 0;
                file.read(reinterpret_cast<char *>(&size), sizeof size);
                file.read(reinterpret_cast<char *>(&item_size), sizeof item_size);
                std::vector<char> items(size * item_size);
                file.read(items.data(), items.size());
                delete[] *table;
                *table = new double[size];
                for (int64_t i = 0; i < size; i++)
                    (*table)[i] = item_size == 1
                        ? static_cast<unsigned char>(items[i])
                        : reinterpret_cast<const double *>(items.data())[i];
            }}
            if (!file) {{
                std::cerr << "cannot read " << name << {number} << std::endl;
                return 2;
            }}
        }}"""
