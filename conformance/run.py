"""Any decoder against the conformance streams; needs only Python and a command line.

    python conformance/run.py --decoder 'mydecoder --model {model}'

The command reads a stream on stdin and writes the raw samples on stdout (8 bits each, row-major,
channel-last). Exit code 0: decoded; 69: not supported; any other: rejected; ended by a signal:
crashed. `{model}` is the path of the stream's model file. Runs the classes `stream`, `real` and
`invalid_stream`, prints a line per class, and exits 1 on any failure, on a missing or an unlisted
file, and where nothing passes. One valid stream is decoded first, whatever is chosen: what cannot
decode that rejects nothing for its faults.

A case is `pass`, `fail` (another answer), `timeout`, `error` (not started, or a signal), or
`not-supported`: exit code 69, EX_UNAVAILABLE, by which a decoder says that it never takes such a
stream or model. That is no pass, for an invalid stream neither, and the run fails by it unless
there is `--allow-not-supported`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

VECTORS = Path(__file__).resolve().parent / "vectors" / "v1"
CLASSES = ("stream", "real", "invalid_stream")
NOT_SUPPORTED = 69  # EX_UNAVAILABLE of sysexits.h; no shell and no interpreter ends with it
Json = dict[str, Any]


class Case(NamedTuple):
    """The outcome of one vector."""

    id: str
    clause: str
    result: str
    detail: str


class Decoder(NamedTuple):
    """A command line, and what it is tested with."""

    command: str
    folder: Path
    timeout: float
    jobs: int


def decode(command: str, vector: Json, folder: Path, timeout: float) -> tuple[int, bytes]:
    """Exit code and standard output of the decoder."""
    model = str(folder / vector["model"])
    arguments = [part.replace("{model}", model) for part in shlex.split(command)]
    stream = (folder / vector["stream"]).read_bytes()
    done = subprocess.run(
        arguments, input=stream, capture_output=True, timeout=timeout, check=False
    )
    return done.returncode, done.stdout


def judge(code: int, samples: bytes, vector: Json) -> str:
    """What is wrong with the answer of a decoder that ended by itself; empty where nothing is."""
    if vector["result"] == "invalid":
        return "" if code else "decoded, must be rejected"
    if code:
        return f"rejected with exit code {code}, must be decoded"
    must = vector["expected"]
    size = must["width"] * must["height"] * must["channels"]
    if len(samples) != size:
        return f"{len(samples)} bytes, must be {size}"
    got = hashlib.sha256(samples).hexdigest()
    return "" if got == must["sha256"] else f"sha256 {got}, must be {must['sha256']}"


def run_case(decoder: Decoder, vector: Json) -> Case:
    """One vector."""
    result, detail = "error", ""
    try:
        code, samples = decode(decoder.command, vector, decoder.folder, decoder.timeout)
    except subprocess.TimeoutExpired:
        result, detail = "timeout", f"no answer in {decoder.timeout:g} s"
    except OSError as error:
        detail = str(error)
    else:
        if code == NOT_SUPPORTED:
            result, detail = "not-supported", f"exit code {code}"
        elif code < 0:
            detail = f"ended by signal {-code}"
        else:
            detail = judge(code, samples, vector)
            result = "fail" if detail else "pass"
    return Case(vector["id"], vector["clause"], result, detail)


def grouped(cases: list[Case]) -> Json:
    """Counts, faults and cases of a class."""
    counts = Counter(case.result for case in cases)
    others = [case for case in cases if case.result not in ("pass", "not-supported")]
    return {"passed": counts["pass"], "failed": len(others),
            "not_supported": counts["not-supported"], "results": dict(counts),
            "faults": [f"{c.id} [{c.clause}]: {c.detail}" for c in others],
            "cases": [case._asdict() for case in cases]}  # fmt: skip


def of_files(faults: list[str]) -> Json:
    """What is wrong with the folder, as a class."""
    return {"passed": 0, "failed": len(faults), "not_supported": 0, "faults": faults}


def probe(decoder: Decoder, vectors: list[Json]) -> Json:
    """The first valid stream that is supported. It counts where it fails only: nobody chose it."""
    tried = (run_case(decoder, vector) for vector in vectors)
    case = next((case for case in tried if case.result != "not-supported"), None)
    if case is None:
        why = "no valid stream is supported: a rejection says nothing"
        case = Case("probe", "", "fail", why)
    found = grouped([case])
    return found | {"passed": 0, "cases": found["cases"] if found["failed"] else []}


def read_index(folder: Path) -> tuple[Json, list[str]]:
    """Ids by class, and what is wrong with the files of the folder."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    listed = {*index["files"], "index.json"}
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    faults = [f"{path}: missing" for path in sorted(listed - found)]
    return index["classes"], faults + [f"{path}: not listed" for path in sorted(found - listed)]


def read_class(kind: str, ids: list[str], folder: Path) -> tuple[list[Json], list[str]]:
    """Vectors of a class, and what is wrong with their ids."""
    document = json.loads((folder / f"{kind}.json").read_text(encoding="utf-8"))
    vectors = document["vectors"]
    found = sorted(vector["id"] for vector in vectors)
    return vectors, [] if found == sorted(ids) else [f"{kind}.json: ids are not those listed"]


def run(decoder: Decoder, only: str) -> Json:
    """Counts, faults and cases per class."""
    folder = decoder.folder
    try:
        classes, faults = read_index(folder)
        chosen = {
            kind: read_class(kind, classes[kind], folder)
            for kind in CLASSES
            if kind in classes or kind == "stream"
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {"files": of_files([f"{folder}: {error!r}"])}
    faults += [found for _, wrong in chosen.values() for found in wrong]
    report: Json = {"files": of_files(faults)}
    report["probe"] = probe(decoder, chosen["stream"][0])
    for kind, (vectors, _) in chosen.items():
        tested = [vector for vector in vectors if fnmatch(vector["id"], only)]
        with ThreadPoolExecutor(decoder.jobs) as pool:
            cases = list(pool.map(lambda vector: run_case(decoder, vector), tested))
        report[kind] = grouped(cases)
    return report


def junit(report: Json, *, allowed: bool) -> bytes:
    """The report as JUnit has it: one suite a class; faults of files are cases too.

    allowed: what is not supported is skipped, else a failure, as it is in the exit code.
    """
    tags = {"fail": "failure", "not-supported": "skipped" if allowed else "failure"}
    root = ET.Element("testsuites")
    for kind, group in report.items():
        suite = ET.SubElement(root, "testsuite", name=kind)
        cases = group.get("cases") or [
            {"id": line, "clause": "", "result": "fail", "detail": line} for line in group["faults"]
        ]
        counts = Counter({"failure": 0, "error": 0, "skipped": 0})
        for case in cases:
            name = f"{case['id']} [{case['clause']}]"
            one = ET.SubElement(suite, "testcase", classname=kind, name=name)
            if case["result"] != "pass":
                tag = tags.get(case["result"], "error")
                ET.SubElement(one, tag, type=case["result"], message=case["detail"])
                counts[tag] += 1
        suite.set("tests", str(len(cases)))
        for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(name, str(counts[tag]))
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def line(kind: str, group: Json) -> str:
    """A class in one line, with what is not an ordinary failure."""
    ordinary = ("pass", "fail", "not-supported")
    others = {k: n for k, n in group.get("results", {}).items() if k not in ordinary}
    of_these = "".join(f", {n} of them {k}" for k, n in sorted(others.items()))
    apart = f", {group['not_supported']} not supported" if group["not_supported"] else ""
    return f"{kind}: {group['passed']} passed, {group['failed']} failed{of_these}{apart}"


def verdict(passed: int, failed: int, unsupported: int, *, allowed: bool) -> str:
    """Why the run fails, where it is for more than single cases; "failed" where for those."""
    if failed:
        return "failed"
    if not passed:
        return "nothing passed: nothing is supported" if unsupported else "no cases"
    if unsupported and not allowed:
        return f"{unsupported} not supported; --allow-not-supported lets the others decide"
    return ""


def options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--decoder", required=True, help="command line, {model} is replaced")
    parser.add_argument("--vectors", type=Path, default=VECTORS)
    parser.add_argument("--only", default="*", help="ids to run, for instance 'invalid/*'")
    parser.add_argument("--timeout", type=float, default=60, help="seconds per stream")
    parser.add_argument("--jobs", type=int, default=1, help="decoders at a time")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--junit", type=Path, help="a file to write, for build servers")
    parser.add_argument("--allow-not-supported", action="store_true",
                        help="cases that are not supported do not make the run fail")  # fmt: skip
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run, print, and judge."""
    chosen = options(arguments)
    decoder = Decoder(chosen.decoder, chosen.vectors, chosen.timeout, chosen.jobs)
    report = run(decoder, chosen.only)
    counts = {name: sum(group[name] for group in report.values())
              for name in ("passed", "failed", "not_supported")}  # fmt: skip
    if chosen.json:
        print(json.dumps({**counts, "classes": report}))
    else:
        print("\n".join(line(kind, group) for kind, group in report.items()))
    allowed = chosen.allow_not_supported
    if chosen.junit:
        chosen.junit.write_bytes(junit(report, allowed=allowed))
    for group in report.values():
        for fault in group["faults"]:
            print(f"  {fault}", file=sys.stderr)
        for case in group.get("cases", []):
            if case["result"] == "not-supported":
                print(f"  {case['id']} [{case['clause']}]: not supported", file=sys.stderr)
    why = verdict(*counts.values(), allowed=allowed)
    if why:
        print(why, file=sys.stderr)
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
