"""Runs of a network: simulators, streams, traces, comparisons, hardware reports and pictures."""
