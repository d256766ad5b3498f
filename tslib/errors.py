"""Errors that a reader can act on: one line that says what was given, what was expected and what to do."""


class TslibError(Exception):
    """Base of every error that tslib raises on purpose; the command line prints its message without a traceback."""


class InputError(TslibError, ValueError):
    """A value that cannot be used: an unknown name, an impossible range, a prompt with NaN."""


class ResourceError(TslibError, RuntimeError):
    """Something that cannot be had: rows, a model file, a writable folder."""
