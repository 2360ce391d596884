"""What the verbs of `intnet batch` do once their options are read: tasks, outcomes, a report."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer

from intnet import files
from intnet.commands import common
from intnet.errors import IntnetError

if TYPE_CHECKING:
    from intnet.batch.arrays import EvaluateStore, StorePlan
    from intnet.batch.folders import Found
    from intnet.batch.journal import Record
    from intnet.batch.plans import Evaluate, Means, Outcome, Plan, Task
    from intnet.batch.run import Pool
    from intnet.batch.stores import Store


def identified(model: str | None) -> tuple[str, str]:
    """What workers find the model by, a shipped name or an absolute path; and its id, in hex."""
    from intnet import model_header, shipped

    path = shipped.path_of(model)
    name = path.stem if path.parent == shipped.folder() else str(path.absolute())
    return name, model_header.read(path).model_id.hex()


def arrays() -> ModuleType:
    """The plans for Zarr stores. Raises IntnetError without Zarr."""
    try:
        from intnet.batch import arrays as found
    except ImportError as error:
        raise IntnetError(f"Zarr stores need: pip install 'intnet[zarr]' ({error})") from None
    return found


def shipped_id(model: str | None) -> str:
    """Of a model that every installation has, in hex. Raises IntnetError for another."""
    from intnet import shipped

    model_id = identified(model)[1]
    if model_id not in {entry.header.model_id.hex() for entry in shipped.at_hand()}:
        raise IntnetError(f"model {model}: metadata of Zarr can name shipped models only")
    return model_id


def refuse(**options: object) -> None:
    """End with exit code 2 for an option that is given, but not for Zarr stores."""
    for name, given in options.items():
        if given is not None and given is not False:
            common.misuse(f"--{name.replace('_', '-')} is not for Zarr stores")


def beside(target: Path) -> Path:
    """The journal of a target that cannot hold one."""
    from intnet.batch import journal

    return target.with_name(f".{target.name}{journal.NAME}")


def tasks_of(
    names: dict[str, str], source: Path, target: Path, known: dict[str, Record]
) -> list[Task]:
    """A task for each input, by the name of its output, which is its key."""
    from intnet.batch import plans

    return [
        plans.Task(key, (source / name).absolute(), (target / key).absolute(), known.get(key))
        for key, name in names.items()
    ]


def convert(
    plan: Plan, means: Means, found: Found, source: Path, target: Path, suffix: str,
    jobs: int | None, scheduler: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """A file for each file of a folder."""
    from intnet.batch import folders, journal, stores

    if stores.is_store(target):
        raise IntnetError(f"{target}: a Zarr store, must be a folder of files as SRC is")
    outputs = folders.renamed(found.names, suffix)
    target.mkdir(parents=True, exist_ok=True)
    path = target / journal.NAME
    names = {str(output): str(name) for name, output in outputs.items()}
    tasks = tasks_of(names, source, target, journal.read(path))
    started = time.perf_counter()
    outcomes = worked(plan, means, tasks, source, path, jobs, scheduler)
    report = counted(outcomes, found.others, started) | sizes(tasks, outcomes)
    causes = {names[key]: cause for key, cause in causes_of(outcomes).items()}
    show(f"{plan.settings()['verb']}d", report, causes, as_json=as_json)


def convert_store(
    plan: StorePlan, source: Path, target: Path, jobs: int | None, scheduler: str | None,
    *, overwrite: bool, as_json: bool,
) -> None:  # fmt: skip
    """A chunk for each chunk of a Zarr store. Metadata come first; where they fail, so does all."""
    from intnet.batch import executors, journal, plans, run, stores

    store, others = arrays().survey(plan, source)
    stores.check(source, target, store)
    path = beside(target)
    known = journal.read(path)
    surplus = stores.surplus(target, store, known, overwrite=overwrite)
    means = plans.Means(overwrite=overwrite)
    target.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    documents = tasks_of({name: name for name in store.documents}, source, target, known)
    made = run.run(plan, means, documents, partial(executors.local, 1), path)
    for name, cause in causes_of(made).items():
        raise IntnetError(f"{name}: {cause}")
    for file in surplus:
        file.unlink()
    chunks = {name: name for names in store.chunks.values() for name in names}
    tasks = tasks_of(chunks, source, target, known)
    outcomes = worked(plan, means, tasks, source, path, jobs, scheduler)
    report = counted(outcomes, store.others, started) | sizes(tasks, outcomes)
    report |= told("copied", store, others)
    show(f"{plan.settings()['verb']}d", report, causes_of(outcomes), as_json=as_json)


def tabulate_files(
    plan: Evaluate, means: Means, source: Path, target: Path,
    jobs: int | None, scheduler: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Rows of the pictures of a folder."""
    from intnet.batch import folders

    found = folders.find(source, folders.PICTURES)
    names = list(map(str, found.names))
    report = {"passed_over": found.others}
    tabulate(plan, means, names, source, target, jobs, scheduler, report, as_json=as_json)


def tabulate_store(
    plan: EvaluateStore, means: Means, source: Path, target: Path,
    jobs: int | None, scheduler: str | None, *, as_json: bool,
) -> None:  # fmt: skip
    """Rows of the chunks of a Zarr store."""
    store, others = arrays().survey(plan, source)
    names = [n for path, chunks in store.chunks.items() if path not in others for n in chunks]
    report = {"passed_over": store.others} | told("passed over", store, others)
    tabulate(plan, means, names, source, target, jobs, scheduler, report, as_json=as_json)


def tabulate(
    plan: Evaluate, means: Means, names: list[str], source: Path, target: Path,
    jobs: int | None, scheduler: str | None, report: dict[str, Any], *, as_json: bool,
) -> None:  # fmt: skip
    """The table of what is in files of those names."""
    from intnet.batch import journal, plans, table

    path = beside(target)
    known = journal.read(path)
    tasks = [plans.Task(n, (source / n).absolute(), target, known.get(n)) for n in names]
    started = time.perf_counter()
    outcomes = worked(plan, means, tasks, source, path, jobs, scheduler)
    rows = [row for o in outcomes.values() if o.record for row in o.record["result"]]
    files.write(target, table.to_bytes(rows, target.suffix.lower()))
    report = counted(outcomes, 0, started) | report | {"qualities": table.means(rows)}
    show("evaluated", report, causes_of(outcomes), as_json=as_json)


def worked(
    plan: Plan, means: Means, tasks: list[Task], source: Path, journal_path: Path,
    jobs: int | None, scheduler: str | None,
) -> dict[str, Outcome]:  # fmt: skip
    """Outcomes of all tasks, with a progress bar."""
    from intnet.batch import executors, run

    if jobs is not None and scheduler is not None:
        common.misuse("--jobs and --scheduler exclude each other")
    wanted = min(jobs or os.cpu_count() or 1, len(tasks))
    pool: Pool = partial(executors.local, wanted)
    if scheduler is not None:
        pool = partial(executors.dask, scheduler, source.absolute())
    with common.progress(f"{plan.settings()['verb']} {source}", len(tasks)) as advance:
        return run.run(plan, means, tasks, pool, journal_path, lambda _: advance())


def causes_of(outcomes: dict[str, Outcome]) -> dict[str, str]:
    """Of what failed, by key."""
    return {key: outcome.cause for key, outcome in outcomes.items() if outcome.cause}


def sizes(tasks: list[Task], outcomes: dict[str, Outcome]) -> dict[str, int]:
    """Bytes of what did not fail; a chunk of the fill value alone has no file."""
    done = [task for task in tasks if not outcomes[task.key].cause]
    outputs = [task.target for task in done if task.target.exists()]
    return {
        "input_bytes": sum(task.source.stat().st_size for task in done),
        "output_bytes": sum(path.stat().st_size for path in outputs),
    }


def told(what: str, store: Store, others: dict[str, str]) -> dict[str, Any]:
    """The arrays of a store for a report; the others, which are copied or passed over, aloud."""
    for path, reason in others.items():
        common.say(f"intnet: {what}: {path}: {reason}")
    return {"arrays": [path for path in store.arrays if path not in others], "others": others}


def counted(outcomes: dict[str, Outcome], others: int, started: float) -> dict[str, Any]:
    """What the reports of all three have in common. others: files that are passed over."""
    states = [outcome.state.value for outcome in outcomes.values()]
    return {
        "files": len(states),
        "made": states.count("made"),
        "skipped": states.count("skipped"),
        "failed": states.count("failed"),
        "passed_over": others,
        "seconds": round(time.perf_counter() - started, 3),
    }


def show(done: str, report: dict[str, Any], causes: dict[str, str], *, as_json: bool) -> None:
    """Failures, then one line. Ends with exit code 1 where there are any."""
    for name, cause in causes.items():
        common.say(f"intnet: failed: {name}: {cause}")
    if as_json:
        failures = [{"file": name, "cause": cause} for name, cause in causes.items()]
        common.print_json(report | {"failures": failures})
    else:
        for row in report.get("qualities", []):
            common.say(", ".join(f"{name} {common.shown(value)}" for name, value in row.items()))
        common.say(
            f"{report['files']} files: {report['made']} {done}, {report['skipped']} finished "
            f"before, {report['failed']} failed; {report['seconds']:.1f} s"
        )
    if causes:
        raise typer.Exit(common.FAILED)
