"""Where the laboratory computes: processes on this machine, or a Dask cluster.

Nothing here imports NumPy: a worker reads this module before its BLAS is told to use one thread.
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

# One thread each: many small trainings at once are faster so, and their records do not depend on the machine's load.
ONE_BLAS_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
NICENESS = 5  # the server that answers readers goes first
SECONDS_TO_CONNECT = 10


@dataclass(frozen=True)
class Pool:
    """An executor that is ready, how many chunks it works on at once, and how to end it, which may take a while."""

    executor: Executor
    workers: int
    close: Callable[[], None]


def from_environment(environment: Mapping[str, str] = os.environ) -> Callable[[], Pool]:
    """Return what makes the pool that BN_EXECUTOR and BN_WORKERS ask for. Raises ValueError for what they cannot."""
    address = environment.get("BN_EXECUTOR", "")
    if not address:
        return partial(processes, whole_number(environment, "BN_WORKERS", processors()))
    kind, _, where = address.partition("://")
    if kind != "dask" or not where:
        raise ValueError(f"BN_EXECUTOR must be dask://host:port, or empty for processes here, got {address!r}")
    if importlib.util.find_spec("distributed") is None:
        raise ValueError(f"BN_EXECUTOR={address} needs Dask: pip install 'batch-norm-explainer[dask]'")
    return partial(dask, f"tcp://{where}")


def whole_number(environment: Mapping[str, str], name: str, default: int) -> int:
    """Return a setting of the environment; ValueError unless it is a whole number of at least 1."""
    text = environment.get(name, "") or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {text!r}")
    return int(text)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processes(workers: int) -> Pool:
    """Start so many worker processes; returns when all are there."""
    executor = ProcessPoolExecutor(workers, mp_context=_Context(), initializer=_settle)
    # The executor starts a process with a task: now, and not while the event loop waits for `submit`.
    for started in [executor.submit(os.getpid) for _ in range(workers)]:
        started.result()
    return Pool(executor, workers, partial(executor.shutdown, cancel_futures=True))


def dask(address: str) -> Pool:
    """Connect to the Dask scheduler at tcp://host:port, whose workers have this project installed."""
    # An optional extra, which takes a second to import and has no types.
    distributed: Any = importlib.import_module("distributed")
    client = distributed.Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
    except TimeoutError:
        client.close()
        raise TimeoutError(f"the Dask cluster at {address} has no workers") from None
    # Not pure: a chunk that is done again is computed again, and its result is not kept on the cluster.
    return Pool(client.get_executor(pure=False), sum(client.nthreads().values()), client.close)


class _Process(SpawnProcess):
    """A worker that starts with one BLAS thread and without the server's main module."""

    def start(self) -> None:
        with _one_blas_thread(), _no_main_module():
            super().start()


class _Context(SpawnContext):
    """Starts workers afresh: a fork of a server with threads and an event loop may hang."""

    Process = _Process


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Have a process that starts now inherit the settings; this one's BLAS has read its own long ago."""
    before = dict(os.environ)
    os.environ.update(ONE_BLAS_THREAD)
    try:
        yield
    finally:
        for name in ONE_BLAS_THREAD:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Keep multiprocessing from importing the main module in the worker: `panel` is 1.4 s and 100 MB there."""
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _settle() -> None:
    """Prepare a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the server ends its workers
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    threading.Thread(target=_end_with_server, daemon=True).start()


def _end_with_server() -> None:
    """A server that is killed cannot end its workers, and they would wait for ever."""
    if server := multiprocessing.parent_process():
        server.join()
    os._exit(1)
