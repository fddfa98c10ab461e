"""A former place of what is in `simulation.hardware_report`; it goes with version 0.2."""

from spikebp_plugins.simulation.hardware_report import HardwareReport, Width, hardware_report

__all__ = ["HardwareReport", "Width", "hardware_report"]
