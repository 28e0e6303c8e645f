"""Many readers train at once, and each gets a fair share: the laboratory's runs, chunk by chunk.

    scheduler = Scheduler(executors.from_environment(), training.start, training.advance, Limits.from_environment())
    ticket = scheduler.submit(reader, config, listener)

A chunk is some 80 ms of `advance` in a worker; what comes back is all that is known of the run, so a lost worker
costs one chunk. Turns go round the readers, not the runs. Equal configs share one run. All methods are to be called
on one event loop, which is also where listeners are called; nothing here makes it wait.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

from bn_core.executors import Pool, whole_number

CHUNK_SECONDS = 0.08  # a dozen pictures a second, and a pause that takes hold at once
ROUND_SECONDS = 0.35  # in which every reader has a turn, if need be with shorter chunks
SHORTEST_CHUNK_SECONDS = 0.02  # below it the way to the worker and back would cost too much
FIRST_STEPS = 5  # before it is known how long one takes
RATE_SECONDS = 5.0  # over which steps per second are measured
OVERDUE_SECONDS = 60.0  # after which a chunk is taken to be lost: a cluster may have no worker left, and not say so
TOLD_SECONDS = 0.005  # to tell one ticket, and for others to have a turn on the event loop
MOST_LOSSES = 3  # in a row, after which a run is taken to be what kills its workers

log = logging.getLogger(__name__)


class Config(Hashable, Protocol):
    """What decides a run; equal configs have equal records."""

    @property
    def steps(self) -> int:
        """How many steps there are."""


class Run(Protocol):
    """A run as a value that can be pickled."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""


C = TypeVar("C", bound=Config)
S = TypeVar("S", bound=Run)
R = TypeVar("R")


class LimitReached(Exception):  # noqa: N818  no error: the reader asked for more than there is
    """A limit of the server in words for the reader: what it is about, which value, what is allowed."""

    def __init__(self, words: str, value: int, allowed: int) -> None:
        super().__init__(words)
        self.value, self.allowed = value, allowed


@dataclass(frozen=True)
class Limits:
    """What the server takes on.

    Attributes:
        runs_per_reader: at once, paused ones too.
        runs: of all readers at once, those that are shared counted once, and those that stand still not at all.
        steps: of one run.
        kept_megabytes: for runs that nobody looks at, in case somebody comes back.

    """

    runs_per_reader: int = 4
    runs: int = 200
    steps: int = 50_000
    kept_megabytes: int = 64

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Limits:
        """Read BN_RUNS_PER_READER, BN_RUNS, BN_STEPS and BN_KEPT_MEGABYTES; ValueError for what is no number."""
        return cls(**{name: whole_number(environment, f"BN_{name.upper()}", d) for name, d in vars(cls()).items()})


class Progress(NamedTuple):
    """How far a run is; the rates are None while they are not known or nothing moves."""

    step: int
    steps: int
    steps_per_second: float | None
    seconds_left: float | None


class _Landed(NamedTuple):
    """What a worker sends back after a chunk. Run and records stay pickled: the server need not look into them."""

    state: bytes
    records: bytes  # empty if there are none
    step: int
    finished: bool
    seconds: float


def _chunk(
    start: Callable[[C], S],
    advance: Callable[[S, int], tuple[S, Sequence[R]]],
    config: C,
    state: bytes | None,
    steps: int,
) -> _Landed | str:
    """Do one chunk, in a worker. What the training raises comes back in words, so other exceptions are the pool's."""
    try:
        run: S = start(config) if state is None else pickle.loads(state)
        began = time.perf_counter()
        run, records = advance(run, steps)
        state = pickle.dumps(run, 5)
        seconds = time.perf_counter() - began
        return _Landed(state, pickle.dumps(records, 5) if records else b"", run.step, run.finished, seconds)
    except Exception as error:
        log.exception("A chunk of %r failed", config)
        return f"{type(error).__name__}: {error}"


@dataclass(eq=False)
class _Job(Generic[C, S, R]):
    """A run, and the tickets of all who look at it."""

    config: C
    tickets: list[Ticket[C, S, R]] = field(default_factory=list)
    state: bytes | None = None  # of the run, pickled; None before its first chunk
    parts: list[bytes] = field(default_factory=list)  # its records, pickled as they came
    size: int = 0  # of state and parts, in bytes
    step: int = 0
    finished: bool = False
    failure: str = ""  # in words
    losses: int = 0  # of workers, in a row
    seconds_per_step: float | None = None
    marks: deque[tuple[float, int]] = field(default_factory=deque)  # when it was at which step, of late

    @property
    def over(self) -> bool:
        """Whether it wants no more turns."""
        return self.finished or bool(self.failure)

    def steps_in(self, seconds: float) -> int:
        """Return how many steps a chunk of this length should have."""
        steps = FIRST_STEPS if self.seconds_per_step is None else round(seconds / self.seconds_per_step)
        return max(1, min(steps, self.config.steps - self.step))

    def mark(self) -> None:
        """Note the step it is at now."""
        now = time.monotonic()
        self.marks.append((now, self.step))
        while len(self.marks) > 2 and now - self.marks[0][0] > RATE_SECONDS:
            self.marks.popleft()

    def land(self, landed: _Landed) -> None:
        """Take over what a chunk has brought."""
        self.size += len(landed.state) + len(landed.records) - len(self.state or b"")
        pace = max(landed.seconds, 1e-6) / max(landed.step - self.step, 1)
        # Steps differ, most of all those with a record: a short chunk without one must not make the next too long.
        self.seconds_per_step = pace if self.seconds_per_step is None else (self.seconds_per_step + pace) / 2
        self.state, self.step, self.finished, self.losses = landed.state, landed.step, landed.finished, 0
        if landed.records:
            self.parts.append(landed.records)
        self.mark()


class Ticket(Generic[C, S, R]):
    """A reader's hold on a run: made by `Scheduler.submit`, of no more use when it has ended.

    Attributes:
        failure: why the run ended without being finished, in words; empty otherwise.
        ended: "finished", "failed" or "stopped"; None while it can go on. To try again or go on, submit once more.

    """

    def __init__(
        self, scheduler: Scheduler[C, S, R], reader: Hashable, job: _Job[C, S, R], listener: Listener[C, S, R]
    ) -> None:
        self.failure = ""
        self.ended: Literal["finished", "failed", "stopped"] | None = None
        self._scheduler, self._reader, self._job, self._listener = scheduler, reader, job, listener
        self._paused = False
        self._step = self._parts = 0  # how far the listener has been told
        self._told = 0.0  # when

    @property
    def config(self) -> C:
        """What was submitted."""
        return self._job.config

    @property
    def state(self) -> Literal["waiting", "running", "paused", "finished", "failed", "stopped"]:
        """What the run does as far as this reader is concerned; it waits until its first chunk is back."""
        if self.ended or self._paused:
            return self.ended or "paused"
        return "running" if self._step else "waiting"

    @property
    def progress(self) -> Progress:
        """How far the listener has been told, how fast the run goes, and how long it will take at this rate."""
        steps, marks = self.config.steps, self._job.marks
        if self.state != "running" or len(marks) < 2 or marks[-1][1] == marks[0][1]:
            return Progress(self._step, steps, None, None)
        rate = (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])
        return Progress(self._step, steps, rate, (steps - self._step) / rate)

    def records(self) -> list[R]:
        """Return all records that the listener has been told."""
        return _unpickled(self._job.parts[: self._parts])

    def run(self) -> S | None:
        """Return the run as it stands after its last chunk; None before the first."""
        return None if self._job.state is None else pickle.loads(self._job.state)

    def pause(self) -> None:
        """Tell the listener nothing more for now, and stand still unless others look at the same run."""
        self._paused = True

    def go_on(self) -> None:
        """After a pause: tell what was missed, and go on. Raises LimitReached, and then it stays paused."""
        self._scheduler._go_on(self)

    def stop(self) -> None:
        """End it. The server keeps the run for a while where it stands, in case its config is submitted again."""
        self._scheduler._end(self, "stopped")


Listener = Callable[[Ticket[C, S, R], Sequence[R]], None]
"""Called with the new records after each chunk, and when the run has ended: see `ticket.ended`."""


def _unpickled(parts: Sequence[bytes]) -> list[Any]:
    return [record for part in parts for record in pickle.loads(part)]


class Scheduler(Generic[C, S, R]):
    """Shares a pool of workers among readers.

    Args:
        make_pool: called in a thread, at the first `submit` or `open` and after a pool was lost.
        start, advance: the training: functions of a module that the workers can import.
        limits: what it takes on.

    """

    def __init__(
        self,
        make_pool: Callable[[], Pool],
        start: Callable[[C], S],
        advance: Callable[[S, int], tuple[S, Sequence[R]]],
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._make_pool, self._chunk = make_pool, partial(_chunk, start, advance)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: Pool | None = None
        self._opening = self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: OrderedDict[C, _Job[C, S, R]] = OrderedDict()  # those that nobody looks at: the oldest first
        self._readers: OrderedDict[Hashable, list[Ticket[C, S, R]]] = OrderedDict()  # whose turn it is comes first
        self._flying: dict[_Job[C, S, R], Future[_Landed | str]] = {}
        self._alarms: dict[Future[_Landed | str], asyncio.TimerHandle] = {}

    def submit(self, reader: Hashable, config: C, listener: Listener[C, S, R]) -> Ticket[C, S, R]:
        """Have a run done for a reader, or take part in one with the same config, from its first record.

        Raises LimitReached, with a sentence for the reader, and then has changed nothing.
        """
        if self._closed:
            raise RuntimeError("the scheduler is closed and takes no more runs")
        job = self._jobs.get(config)
        self._check_limits(reader, config, job)
        self.open()
        if job is None:
            job = self._jobs[config] = _Job(config)
        if not self._wanted(job):  # it stood still, so what was measured is old
            job.marks.clear()
        job.failure, job.losses = "", 0
        ticket = Ticket(self, reader, job, listener)
        job.tickets.append(ticket)
        self._readers.setdefault(reader, []).append(ticket)
        # What is there already is told in a moment, when the caller has its ticket.
        self._running_loop().call_soon(self._tell_if_any, ticket)
        self._fill()
        return ticket

    def finished(self, config: C) -> bool:
        """Return whether a run is here, with nothing left to do."""
        job = self._jobs.get(config)
        return job is not None and job.finished

    async def known(self, config: C) -> tuple[S | None, list[R]]:
        """Return a run as it stands after its last chunk, and its records; None and nothing if it is not here."""
        job = self._jobs.get(config)
        if job is None or job.state is None:
            return None, []
        state, parts = job.state, tuple(job.parts)
        return await asyncio.to_thread(lambda: (pickle.loads(state), _unpickled(parts)))

    def leave(self, reader: Hashable) -> None:
        """Stop all that a reader has, because the page is closed."""
        for ticket in tuple(self._readers.get(reader, ())):
            self._end(ticket, "stopped")

    def open(self) -> None:
        """Start the workers if there are none, so that the first reader need not wait for them."""
        if self._pool is None and not self._opening and not self._closed:
            self._opening = True
            self._background(self._open())

    async def close(self) -> None:
        """Stop everything; returns when the workers have ended."""
        self._closed = True
        for reader in tuple(self._readers):
            self.leave(reader)
        self._flying.clear()
        self._drop_pool()
        await asyncio.gather(*self._tasks)

    def _check_limits(self, reader: Hashable, config: C, job: _Job[C, S, R] | None) -> None:
        limits = self.limits
        if config.steps > limits.steps:
            raise LimitReached(
                f"A run of {config.steps:,} steps is too long for this server: it allows up to {limits.steps:,}.",
                config.steps,
                limits.steps,
            )
        own = len(self._readers.get(reader, ()))
        if own >= limits.runs_per_reader:
            raise LimitReached(
                f"This would be your run number {own + 1} at once, and the server allows {limits.runs_per_reader}: "
                "stop one, or wait until one has finished.",
                own + 1,
                limits.runs_per_reader,
            )
        self._check_room(job)

    def _check_room(self, job: _Job[C, S, R] | None) -> None:
        """Raise LimitReached if this run would be one too many of those that are being done."""
        if job is not None and (job.finished or self._wanted(job)):
            return  # no more work than there is
        runs, allowed = sum(map(self._wanted, self._jobs.values())), self.limits.runs
        if runs >= allowed:
            raise LimitReached(
                f"The server has {runs} runs to do, and it allows {allowed} at once: try again in a minute.",
                runs + 1,
                allowed,
            )

    # ---- turns

    def _wanted(self, job: _Job[C, S, R]) -> bool:
        """Whether a run should go on: it can, and somebody waits for it."""
        return not job.over and not all(ticket._paused for ticket in job.tickets)

    def _chunk_seconds(self, workers: int) -> float:
        """Return how long a chunk may take so that a round stays short."""
        readers = sum(any(not ticket._paused for ticket in tickets) for tickets in self._readers.values())
        turns = min(readers, sum(map(self._wanted, self._jobs.values())))
        return min(CHUNK_SECONDS, max(SHORTEST_CHUNK_SECONDS, ROUND_SECONDS * workers / max(turns, 1)))

    def _next(self) -> Ticket[C, S, R] | None:
        """Return whose turn it is. A reader whose only run is in a worker keeps the place in the queue."""
        for tickets in self._readers.values():
            for ticket in tickets:
                if not ticket._paused and not ticket._job.over and ticket._job not in self._flying:
                    return ticket
        return None

    def _fill(self) -> None:
        """Give the workers what they can do, and one chunk more, so that none waits for the event loop."""
        while self._pool is not None and len(self._flying) <= self._pool.workers:
            ticket = self._next()
            if ticket is None:
                return
            # A run that was in a lost worker flies alone, so that the one that kills workers is found
            # and the others are not taken for it.
            if self._flying and any(job.losses for job in (ticket._job, *self._flying)):
                return
            self._launch(ticket, self._pool)

    def _launch(self, ticket: Ticket[C, S, R], pool: Pool) -> None:
        """Send a run's next chunk to a worker; reader and run go to the end of their queues."""
        self._readers.move_to_end(ticket._reader)
        tickets = self._readers[ticket._reader]
        tickets.append(tickets.pop(tickets.index(ticket)))
        job = ticket._job
        if not job.marks:
            job.mark()
        steps = job.steps_in(self._chunk_seconds(pool.workers))
        try:
            future = pool.executor.submit(self._chunk, job.config, job.state, steps)
        except Exception as error:  # the pool is broken and nobody has said so yet
            future = Future()
            future.set_exception(error)
        self._flying[job] = future
        self._alarms[future] = self._running_loop().call_later(OVERDUE_SECONDS, self._overdue, job, future)
        future.add_done_callback(partial(self._done, job))

    def _done(self, job: _Job[C, S, R], future: Future[_Landed | str]) -> None:
        """Hear of a chunk, in whatever thread the executor likes."""
        with suppress(RuntimeError):  # the event loop is closed: nobody is there to be told
            self._running_loop().call_soon_threadsafe(self._landed, job, future)

    def _overdue(self, job: _Job[C, S, R], future: Future[_Landed | str]) -> None:
        """Give a pool up that has not answered for long."""
        self._alarms.pop(future, None)
        if self._flying.get(job) is future:
            self._lost(TimeoutError(f"it did not answer for {OVERDUE_SECONDS:.0f} s"))

    def _landed(self, job: _Job[C, S, R], future: Future[_Landed | str]) -> None:
        if alarm := self._alarms.pop(future, None):
            alarm.cancel()
        if self._flying.get(job) is not future:
            return  # from a pool that is given up
        error = CancelledError() if future.cancelled() else future.exception()
        if error is not None:
            self._lost(error)
            return
        del self._flying[job]
        outcome = future.result()
        if isinstance(outcome, str):
            self._fail(job, f"The training broke off after step {job.step:,}. {outcome}")
        else:
            job.land(outcome)
            self._tell_all(job)
        if not job.tickets:
            self._forget()
        self._fill()

    # ---- readers

    def _tell_if_any(self, ticket: Ticket[C, S, R]) -> None:
        if ticket._job.step > ticket._step or ticket._job.over:
            self._tell(ticket)

    def _tell_all(self, job: _Job[C, S, R]) -> None:
        """Tell all who look at a run; the more there are in all, the less often each of them."""
        interval = TOLD_SECONDS * sum(map(len, self._readers.values()))
        for ticket in tuple(job.tickets):
            if job.over or time.monotonic() - ticket._told >= interval:
                self._tell(ticket)

    def _tell(self, ticket: Ticket[C, S, R]) -> None:
        """Tell a listener what is new, and end the ticket if the run is over."""
        if ticket.ended or ticket._paused:
            return
        job = ticket._job
        ticket._told = time.monotonic()
        new: list[R] = _unpickled(job.parts[ticket._parts :])
        ticket._parts, ticket._step = len(job.parts), job.step
        if job.over:
            ticket.failure = job.failure
            self._end(ticket, "failed" if job.failure else "finished")
        try:
            ticket._listener(ticket, new)
        except Exception:
            log.exception("A listener of %r failed; the run goes on", job.config)

    def _go_on(self, ticket: Ticket[C, S, R]) -> None:
        if ticket.ended or not ticket._paused:
            return
        self._check_room(ticket._job)
        if not self._wanted(ticket._job):
            ticket._job.marks.clear()
        ticket._paused = False
        self._running_loop().call_soon(self._tell_if_any, ticket)
        self._fill()

    def _end(self, ticket: Ticket[C, S, R], how: Literal["finished", "failed", "stopped"]) -> None:
        if ticket.ended:
            return
        ticket.ended = how
        tickets = self._readers[ticket._reader]
        tickets.remove(ticket)
        if not tickets:
            del self._readers[ticket._reader]
        job = ticket._job
        job.tickets.remove(ticket)
        if not job.tickets:
            self._jobs.move_to_end(job.config)
            self._forget()

    def _fail(self, job: _Job[C, S, R], words: str) -> None:
        """End a run with a sentence. Its last good state is kept: submitted again, it goes on from there."""
        job.failure = words
        self._tell_all(job)

    def _forget(self) -> None:
        """Drop the oldest of the runs that nobody looks at, as many as are too many."""
        idle = [job for job in self._jobs.values() if not job.tickets]
        kept = sum(job.size for job in idle)
        for job in idle:
            if kept > self.limits.kept_megabytes * 1e6 or job.state is None:
                del self._jobs[job.config]
                kept -= job.size

    # ---- the pool

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._running_loop().create_task(work)
        self._tasks.add(task)  # the event loop itself would forget it
        task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        try:
            pool = await asyncio.to_thread(self._make_pool)
        except Exception as error:
            log.exception("The pool of workers cannot be made")
            self._opening = False
            for job in tuple(self._jobs.values()):
                if job.tickets and not job.over:
                    self._fail(job, f"The server has no worker to train with: {str(error) or type(error).__name__}")
            return
        self._opening = False
        if self._closed:
            await self._close(pool)
            return
        self._pool = pool
        self._fill()

    def _drop_pool(self) -> None:
        if self._pool is not None:
            self._background(self._close(self._pool))
            self._pool = None

    async def _close(self, pool: Pool) -> None:
        try:
            await asyncio.to_thread(pool.close)
        except Exception:
            log.exception("A pool of workers did not end well")

    def _lost(self, error: BaseException) -> None:
        """Replace a pool that has lost a worker. What was in it is done again from the last chunk."""
        log.warning("A worker was lost (%r); a new pool takes over", error)
        flying, self._flying = tuple(self._flying), {}
        self._drop_pool()
        for job in flying:
            job.losses += 1
            if job.losses >= MOST_LOSSES:
                words = f"Its worker was lost {job.losses} times in a row: {str(error) or type(error).__name__}"
                self._fail(job, f"The training broke off after step {job.step:,}. {words}")
        self.open()
