"""Where jobs run: in processes of this machine, on the workers of a Dask cluster, or on any executor."""

import asyncio
import functools
import logging
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from oddpair import __version__
from oddpair.errors import Refusal
from oddpair.progress import say
from oddpair.workers import ONE_THREAD, Workers

Job = TypeVar("Job")
Result = TypeVar("Result")

_DASK = "dask:"
_SECONDS_TO_CONNECT = 10.0
# Threads, matrix precision and the like are set for a whole process, so a process does one job at a time.
_ONE_JOB = threading.Lock()


@contextmanager
def open_engine(engine: str | Executor | None, workers: int) -> Iterator[Executor]:
    """Yield the executor that ``engine`` names; processes of this machine die with the block.

    Args:
        engine: ``None`` for processes of this machine; ``"dask:ADDRESS"`` for the workers of the Dask
            scheduler at an address such as ``tcp://10.0.0.1:8786``, which all need oddpair and a file system
            where the same paths are the same files; or an executor, which stays the caller's to shut down.
        workers: Processes of this machine; a cluster has its own.

    Yields:
        An executor. Functions that are not for this machine's processes go through ``alone``.

    Raises:
        Refusal: If the engine is unknown, not installed, not reachable or of another version.
    """
    if isinstance(engine, Executor):
        yield engine
    elif engine is None:
        with Workers(workers) as pool:
            yield pool
    elif engine.startswith(_DASK):
        with _dask(engine.removeprefix(_DASK)) as executor:
            yield executor
    else:
        raise Refusal(
            f"found no engine {engine!r}: give dask:ADDRESS of a Dask scheduler, such as "
            "dask:tcp://10.0.0.1:8786, or none for processes of this machine"
        )


def alone(function: Callable[[Job], Result], job: Job) -> Result:
    """Call a function in a process that others share as in one of our own: one at a time, with one thread.

    Raises:
        TypeError: If the result cannot be pickled, for which Dask would wait forever.
    """
    with _ONE_JOB, one_thread():
        result = function(job)
    try:
        pickle.dumps(result)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"found a result of {type(result)}, needed one that can be pickled") from error
    return result


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread inside the block, also with libraries that are first loaded there."""
    from threadpoolctl import threadpool_limits

    before = {name: os.environ.get(name) for name in ONE_THREAD}
    torch = sys.modules.get("torch")
    n_threads = torch.get_num_threads() if torch else 1
    os.environ.update(ONE_THREAD)
    with threadpool_limits(limits=1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(n_threads)
            os.environ.update({name: value for name, value in before.items() if value is not None})
            for name in (name for name, value in before.items() if value is None):
                del os.environ[name]


def lost_worker_errors() -> tuple[type[BaseException], ...]:
    """Return the errors by which executors say that a job killed its workers."""
    distributed = sys.modules.get("distributed")
    return (BrokenExecutor, distributed.KilledWorker) if distributed else (BrokenExecutor,)


def for_engine(engine: str | Executor | None, function: Callable[[Job], Result]) -> Callable[[Job], Result]:
    """Return the function as it is to be submitted to an engine."""
    return function if engine is None else functools.partial(alone, function)


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise Refusal(
            "--engine dask needs a package that is not here: run pip install 'oddpair[dask]', or leave out --engine"
        ) from error

    _look_at_scheduler(distributed, address)
    # What goes wrong is said in one line, not in the tracebacks of a client that loses its scheduler.
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with distributed.Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False) as client:
            _check_versions(client, address)
            yield _Cluster(client)
    finally:
        logger.setLevel(level)


class _Cluster(Executor):
    """The workers of a Dask cluster as an executor.

    Dask's own loses the result of a job whose worker dies between the end of the job and the sending of its
    result; here that job runs again.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def submit(
        self, function: Callable[..., Result], /, *arguments: Any, **keywords: Any
    ) -> "Future[Result]":
        """Call a function on the cluster; equal calls are made each."""
        theirs = self._client.submit(function, *arguments, pure=False, **keywords)
        ours: Future[Result] = Future()
        theirs.add_done_callback(functools.partial(_pass_on, ours))
        return ours


def _pass_on(ours: "Future[Any]", theirs: Any) -> None:
    if theirs.status == "cancelled":
        ours.cancel()
    if not ours.set_running_or_notify_cancel():
        return
    try:
        result = theirs.result()
    except BaseException as error:  # whatever it is, it is the caller's
        ours.set_exception(error)
    else:
        ours.set_result(result)


def _look_at_scheduler(distributed: Any, address: str) -> None:
    # A client that finds no scheduler leaves threads and noise behind, so one is started for a scheduler only.
    async def identify() -> dict[str, Any]:
        async with distributed.rpc(address, timeout=_SECONDS_TO_CONNECT) as server:
            found: dict[str, Any] = await asyncio.wait_for(server.identity(), _SECONDS_TO_CONNECT)
            return found

    try:
        # In a thread of its own, because a notebook already runs a loop in this one.
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(asyncio.run, identify()).result()
    except (OSError, ValueError, TimeoutError) as error:
        raise Refusal(
            f"no Dask scheduler answers at {address!r} ({str(error).splitlines()[0] if str(error) else 'silence'}): "
            "check the address, and that dask scheduler runs there"
        ) from error
    if found["type"] != "Scheduler":
        raise Refusal(f"found a Dask {found['type'].lower()} at {address}: give the address of its scheduler")
    if not found["workers"]:
        # No reason to refuse: some clusters start workers when there is work.
        say(
            f"the Dask scheduler at {address} has no workers yet: dask worker {address} --nthreads 1 starts some"
        )


def _check_versions(client: Any, address: str) -> None:
    answers: dict[str, Any] = client.run(_version_here, on_error="return")
    for worker, found in sorted(answers.items()):
        if found != __version__:
            said = f"oddpair {found}" if isinstance(found, str) else f"an error ({found})"
            raise Refusal(
                f"Dask worker {worker} of {address} has {said}, needed oddpair {__version__}: "
                "install the same version there"
            )


def _version_here() -> str:
    return __version__
