"""Errors that a reader can act on: one line that says what was given, what was expected and what to do."""

from importlib.util import find_spec


class TslibError(Exception):
    """Base of every error that tslib raises on purpose: the command line and notebooks show its message alone."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback; ``%debug`` goes to where it was raised all the same."""
        return [f"{type(self).__name__}: {self}"]


class InputError(TslibError, ValueError):
    """A value that cannot be used: an unknown name, an impossible range, a prompt with NaN."""


class ResourceError(TslibError, RuntimeError):
    """Something that cannot be had: rows, a model file, a writable folder."""


class MissingExtraError(TslibError, ImportError):
    """A part of tslib is used whose packages were not installed with it."""


def needs(extra: str, *modules: str) -> None:
    """Find out that packages are there before they are imported.

    Parameters
    ----------
    extra
        What brings them: ``tune``, ``vision`` or ``study``.
    *modules
        Names that are imported.

    Raises
    ------
    MissingExtraError
        If one is not there; the message says what to install.
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtraError(
                f"this part of tslib needs {module}, which is not installed: pip install 'tslib[{extra}]'"
            )
