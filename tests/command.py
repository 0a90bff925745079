"""Commands run in the process of a test."""

from typer.testing import CliRunner

from oddpair import cli
from oddpair.errors import Refusal


def run(*arguments, stream="output"):
    """Run a command: exit code and what it printed, of both streams or of one; a refusal is 2 and its one line."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if isinstance(result.exception, Refusal):
        line = str(result.exception)
        assert "\n" not in line
        return 2, line
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, getattr(result, stream)


def files_in(folder):
    """Every file that a run left, hidden ones too."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
