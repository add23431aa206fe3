"""Pruning: what the behaviour does not need, by causal effect."""
