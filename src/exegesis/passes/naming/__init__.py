"""Naming: what a variable holds decides what it is called; a namer may give up."""
