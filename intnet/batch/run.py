"""Tasks handed out, outcomes collected. Nothing is lost where a worker dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

from intnet.batch import executors, journal
from intnet.batch.plans import Means, Outcome, Plan, State, Task, failed, perform
from intnet.errors import BackendError, IntnetError, SettingError

AHEAD = 1024  # tasks that are handed out and not finished

Pool = Callable[[], AbstractContextManager[Executor]]


def run(
    plan: Plan,
    means: Means,
    tasks: Sequence[Task],
    pool: Pool,
    journal_path: Path,
    each: Callable[[Outcome], object] = lambda _: None,
    ahead: int = AHEAD,
) -> dict[str, Outcome]:
    """Outcomes by key, in the order of the tasks. each: is called as one ends.

    The journal gets a record of what is made, before `each` is called. Raises OSError where it
    cannot, IntnetError where a cluster is gone.
    """
    found: dict[str, Outcome] = {}
    with (
        journal.appending(journal_path) as append,
        closing(outcomes(partial(perform, plan, means), tasks, pool, ahead)) as ended,
    ):
        for outcome in ended:
            if outcome.state is State.made and outcome.record:
                append(outcome.record)
            found[outcome.key] = outcome
            each(outcome)
    return {task.key: found[task.key] for task in tasks}


def outcomes(
    call: Callable[[Task], Outcome], tasks: Iterable[Task], pool: Pool, ahead: int
) -> Generator[Outcome, None, None]:
    """As tasks end. What was handed out when a local process died is done again, each alone."""
    queue = deque(tasks)
    while queue:
        with pool() as executor:
            suspects = yield from ended(call, queue, executor, ahead)
        for task in suspects:
            with executors.processes(1) as executor:
                died = yield from ended(call, deque([task]), executor, 1)
            if died:
                yield failed(task, IntnetError("the process that worked on it died"))


def ended(
    call: Callable[[Task], Outcome], queue: deque[Task], executor: Executor, ahead: int
) -> Generator[Outcome, None, list[Task]]:
    """Outcomes of tasks, which leave the queue. Gives those that a broken executor lost."""
    running: dict[Future[Outcome], Task] = {}
    lost: list[Task] = []
    broken = False
    while running or (queue and not broken):
        try:
            while queue and len(running) < ahead and not broken:
                running[executor.submit(call, queue[0])] = queue[0]
                queue.popleft()
        except BrokenExecutor:
            broken = True
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            task = running.pop(future)
            outcome = outcome_of(future, task)
            if outcome is None:
                lost.append(task)
                broken = True
            else:
                yield outcome
    return lost


def outcome_of(future: Future[Outcome], task: Task) -> Outcome | None:
    """None where the executor broke. Raises IntnetError for what would fail all others too."""
    try:
        return future.result()
    except BrokenExecutor:
        return None
    except CancelledError:
        raise IntnetError("the scheduler is gone; the same command goes on from here") from None
    except (SettingError, BackendError):
        raise
    except Exception as error:  # noqa: BLE001  # a worker that dies again and again, for one
        return failed(task, error)
