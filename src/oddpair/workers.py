"""Processes that work side by side: an executor that outlives its workers and says how and where one died."""

import ctypes
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, TypeVar

Result = TypeVar("Result")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
NOWHERE = -1
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}
_PR_SET_PDEATHSIG = 1
_SECONDS_TO_LEAVE = 5.0
_SPAWN = multiprocessing.get_context("spawn")
# Starting a worker changes the environment of this process for a moment.
_STARTING = threading.Lock()
_position: ctypes.c_longlong | None = None


def note_position(position: int) -> None:
    """Tell the parent of this worker which item of its job is worked on from now on; elsewhere do nothing.

    Costs less than a microsecond and survives the death of the worker, so that the item that kills a
    decoder is known by name. Right only where items are worked on one after the other.

    Args:
        position: Position of the item in its job, 0 or more; ``NOWHERE`` (-1) between items, for work whose
            crash is no item's fault.
    """
    if _position is not None:
        _position.value = position


def note_done(position: int) -> None:
    """Tell the parent that an item is done: the worker lives, and a crash from now on is no item's fault.

    Unlike ``note_position`` it may be called by threads that work on several items at once.

    Args:
        position: Position of the item in its job, 0 or more.
    """
    if _position is not None:
        # Another number for each item, all below NOWHERE: only a number that changes is a sign of life.
        _position.value = NOWHERE - 1 - position


class WorkerDied(Exception):  # noqa: N818  it says what happened
    """A worker process ended before its job did.

    Attributes:
        exit_code: Exit status, or minus the number of the signal that ended it.
        position: What the job last gave to ``note_position``, ``NOWHERE`` if nothing, or if that item is done.
    """

    def __init__(self, exit_code: int, position: int) -> None:
        super().__init__(f"exit code {exit_code} at position {position}")
        self.exit_code = exit_code
        self.position = position

    @property
    def has_crashed(self) -> bool:
        """Whether the worker's own code was at fault, and not somebody who killed it."""
        return -self.exit_code in _CRASHES


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    future: "Future[Any]"
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


class Workers(Executor):
    """Fresh processes, one thread of arithmetic each, that die with this one and are replaced when they die.

    Functions, arguments and results are pickled. The future of a job whose worker died raises
    ``WorkerDied``; other jobs go on. As a context it waits for its jobs, or kills them if its block fails.
    """

    def __init__(self, count: int) -> None:
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._processes: set[SpawnProcess] = set()
        self._is_killed = self._is_shut = False
        self._positions: list[ctypes.c_longlong] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(
        self, function: Callable[..., Result], /, *arguments: Any, **keywords: Any
    ) -> "Future[Result]":
        """Call a function in the next free worker."""
        if self._is_shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[Result] = Future()
        self._tasks.put(_Task(future=future, function=function, arguments=arguments, keywords=keywords))
        return future

    def positions(self) -> tuple[int, ...]:
        """Return where each worker is, as told by ``note_position`` and ``note_done``: while it changes, they live."""
        return tuple(position.value for position in self._positions)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the workers leave when their jobs are done."""
        self._is_shut = True
        if cancel_futures:
            self._cancel()
        for _ in self._threads:
            self._tasks.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def kill(self) -> None:
        """End the workers at once and cancel what has not begun."""
        with _STARTING:
            self._is_killed = True
            for process in self._processes:
                process.kill()
        self.shutdown(cancel_futures=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the jobs, or kill the workers after an error."""
        if kind is None:
            self.shutdown()
        else:
            self.kill()

    def _cancel(self) -> None:
        while True:
            try:
                task = self._tasks.get_nowait()
            except queue.Empty:
                return
            if task is not None:
                task.future.cancel()

    def _serve(self) -> None:
        """Keep one worker: start it when there is work, and again when it died."""
        position = _SPAWN.RawValue(ctypes.c_longlong, NOWHERE)
        self._positions.append(position)
        process: SpawnProcess | None = None
        connection: Connection | None = None
        while (task := self._tasks.get()) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            try:
                if process is None or connection is None:
                    process, connection = self._start(position)
                position.value = NOWHERE
                is_result, answer = _ask(connection, task)
            except (EOFError, ConnectionError):
                exit_code = self._reap(process, connection)
                process = connection = None
                task.future.set_exception(WorkerDied(exit_code, max(position.value, NOWHERE)))
            except BaseException as error:  # of pickling, or of starting a process: the caller's to judge
                task.future.set_exception(error)
            else:
                task.future.set_result(answer) if is_result else task.future.set_exception(answer)
                del answer
            del task
        self._reap(process, connection)

    def _start(self, position: ctypes.c_longlong) -> "tuple[SpawnProcess, Connection]":
        here, there = _SPAWN.Pipe()
        with _STARTING, _environment_of_workers():
            if self._is_killed:
                raise EOFError
            # Workers inherit that interrupts are blocked, from their first moment on: Ctrl-C reaches them all, but
            # is the main thread's to answer. The tracker comes first because its start unblocks them here.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            process = _SPAWN.Process(target=_work, args=(os.getpid(), there, position), daemon=True)
            process.start()
            self._processes.add(process)
        there.close()
        return process, here

    def _reap(self, process: SpawnProcess | None, connection: "Connection | None") -> int:
        if process is None or connection is None:
            return -signal.SIGKILL
        connection.close()
        if not wait([process.sentinel], _SECONDS_TO_LEAVE):
            process.kill()
        with _STARTING:
            process.join()
            self._processes.discard(process)
        # Any start of a process in this one also reaps the dead, and its thread may be the first to learn the code.
        while (exit_code := process.exitcode) is None:
            time.sleep(0.001)
        return exit_code


def _ask(connection: "Connection", task: _Task) -> tuple[bool, Any]:
    connection.send((task.function, task.arguments, task.keywords))
    try:
        is_result, answer = connection.recv()
    except OSError as error:  # the worker died while it answered
        raise EOFError from error
    return is_result, answer


def _work(parent: int, connection: "Connection", position: ctypes.c_longlong) -> None:
    """Answer calls until the parent hangs up; the main function of a worker."""
    global _position
    _position = position
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
    while True:
        try:
            call = connection.recv()
        except (EOFError, ConnectionError):
            return
        except BaseException as error:  # a function that cannot be imported here
            connection.send((False, error))
            continue
        answer = _answer(*call)
        try:
            connection.send(answer)
        except ConnectionError:
            return
        except BaseException as error:  # an answer that cannot be pickled
            for note in getattr(answer[1], "__notes__", ()):
                error.add_note(note)
            connection.send((False, error))
        del call, answer


def _answer(
    function: Callable[..., Any], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> tuple[bool, Any]:
    try:
        return True, function(*arguments, **keywords)
    except BaseException as error:
        error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        return False, error


@contextmanager
def _environment_of_workers() -> Iterator[None]:
    # Set before a worker starts, because numpy reads the variables when it is loaded.
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
