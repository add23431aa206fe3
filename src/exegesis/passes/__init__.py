"""Passes: each replaces a part of a program by something closer to what a person would write."""
