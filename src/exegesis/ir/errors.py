"""Errors a user can cause. Each carries one clear sentence; the command line prints it and exits with 2."""


class ExegesisError(Exception):
    """Anything exegesis refuses to do, said in one sentence."""


class InputError(ExegesisError):
    """What the user brought (a file, a network, a behaviour, an option) cannot be used as it is."""


class GraphError(ExegesisError):
    """A program breaks the specification of its language."""
