"""The one exception that the command line turns into a line of text."""


class Refusal(Exception):  # noqa: N818  a refusal is an answer, not a defect
    """Input or state that oddpair will not work on; its text is the one line the user reads (exit 2).

    The line says what was found, what was needed, in which file and row, and what to do.
    """
