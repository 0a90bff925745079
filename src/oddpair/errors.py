"""The exception that the command line turns into a line of text, and which errors a second try does not mend."""

import errno

# Numbers of errors of the system that do not pass by waiting.
LASTING = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
}


class Refusal(Exception):  # noqa: N818  a refusal is an answer, not a defect
    """Input or state that oddpair will not work on; its text is the one line the user reads (exit 2).

    The line says what was found, what was needed, in which file and row, and what to do.
    """


class PassingRefusal(Refusal):
    """A refusal that another try a moment later may not meet: a store that did not answer, a lost connection."""
