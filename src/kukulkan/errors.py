"""The one exception of the command."""


class KukulkanError(Exception):
    """A mistake its maker can cure: shown as one paragraph, never with a traceback."""
