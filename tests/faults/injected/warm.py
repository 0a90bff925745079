"""A process with every library loaded that forks one run of the command line for each line it reads.

Loading takes seconds and a matrix of faults needs hundreds of runs. From the fork on a run is what the command
``oddpair`` is: a session leader of its own that calls ``oddpair.cli.main``.
"""

import importlib
import json
import os
import sys

LIBRARIES = (
    "faiss", "jinja2", "matplotlib.figure", "open_clip", "pandas", "PIL.Image", "pyarrow.parquet",
    "safetensors.torch", "scipy.sparse", "sklearn.linear_model", "statsmodels.api", "torch", "torchvision",
    "oddpair.cli", "oddpair.demo.run",
)  # fmt: skip


def main() -> None:
    """Answer each request with the process id of its run, then with its exit status."""
    # The real command sets it before anything is loaded.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for name in LIBRARIES:
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request)
            return
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(request: dict[str, str | list[str] | None]) -> None:
    from oddpair.cli import main as run_command

    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(str(request[name]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    if request["fault"] is not None:
        os.environ["ODDPAIR_FAULT"] = str(request["fault"])
        importlib.import_module("injection").install()
    assert isinstance(request["arguments"], list)
    sys.argv = ["oddpair", *request["arguments"]]
    run_command()


if __name__ == "__main__":
    main()
