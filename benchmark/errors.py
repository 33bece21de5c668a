"""The one exception that stands for a mistake of the user's, shown as one line, no traceback."""


class UserError(Exception):
    """Names the file or option, the value and the remedy; the command line exits with 2."""
