"""Grouping: parts of the program become functions."""
