"""Raising: parts of the network become what a person would write; each refuses rather than guesses."""
