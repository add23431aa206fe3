"""Fewer inputs, units and bits: what the behaviour does not need of a network's maps."""
