"""Everything between an installed package and a running hub, as steps that are done once. An edge module.

A step has a fingerprint of what it depends on. When it ends well, the ledger ``state/up.json`` keeps the fingerprint,
and the step is skipped as long as it stays the same. A step that fails leaves no entry, so the next `run` begins there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from quantdesk.errors import EnvironmentProblem, QuantdeskError
from quantdesk.records import atomic_write, exclusive

__all__ = ["Done", "Progress", "Step", "StepFailed", "run"]

#: What a step tells while it works: what, how much is done, of how much (0: unknown).
Progress = Callable[[str, int, int], None]
#: Bytes that data, features, reports and the proxy need together, with room to spare.
NEEDED_SPACE = 1_000_000_000


@dataclass(frozen=True)
class Step:
    """One thing to set up.

    Attributes
    ----------
    name, title
        Its key in the ledger, and what people read.
    fingerprint
        Hash of all that it depends on.
    present
        Whether its product is still there.
    work
        Does it, and returns one sentence about what there is now.
    remedy
        What to do when it fails, beyond what the failure itself says.
    """

    name: str
    title: str
    fingerprint: Callable[[], str]
    present: Callable[[], bool]
    work: Callable[[Progress], str]
    remedy: str


@dataclass(frozen=True)
class Done:
    """How a step ended: `skipped` when the ledger says it was done before; `seconds` of this run."""

    step: Step
    sentence: str
    skipped: bool
    seconds: float


class StepFailed(EnvironmentProblem):
    """A step of the set-up failed: which, why, and what to do."""

    def __init__(self, step: Step, cause: BaseException) -> None:
        if isinstance(cause, QuantdeskError):
            why, remedy, self.exit_code = cause.problem, cause.remedy, cause.exit_code
        else:
            why, remedy = f"{type(cause).__name__}: {cause}", ""
        rerun = "Then run `make up` again: it goes on from this step."
        super().__init__(f"The step “{step.title}” failed: {why}", f"{remedy or step.remedy} {rerun}")


def run(
    steps: Iterable[Step], state: Path, progress: Callable[[Step], Progress], finished: Callable[[Done], None]
) -> None:
    """Do each step that is not done yet, in order.

    Parameters
    ----------
    state
        The state directory; the ledger is in it.
    progress
        Called once a step, gives the callback that this step reports to.
    finished
        Called after each step.

    Raises
    ------
    StepFailed
        A step failed; those before it stay done.
    EnvironmentProblem
        The state directory cannot be written, or its disk is nearly full.
    """
    with exclusive(state / "up.lock", timeout=5):
        free = shutil.disk_usage(state).free
        if free < NEEDED_SPACE:
            raise EnvironmentProblem(
                f"Only {free / 1e9:.1f} GB are free for {state}; {NEEDED_SPACE / 1e9:.0f} GB are needed.",
                "Free some, or set QUANTDESK_STATE to a larger disk.",
            )
        ledger = state / "up.json"
        entries = _read(ledger)
        for step in steps:
            try:
                finished(_do(step, ledger, entries, progress))
            except (
                QuantdeskError,
                OSError,
                ArithmeticError,
                LookupError,
                TypeError,
                ValueError,
                RuntimeError,
            ) as error:
                raise StepFailed(step, error) from error


def _do(step: Step, ledger: Path, entries: dict[str, dict[str, str]], progress: Callable[[Step], Progress]) -> Done:
    """Do one step, unless the ledger has it for the same inputs and its product is there."""
    began = time.monotonic()
    mark = step.fingerprint()
    entry = entries.get(step.name)
    if entry is not None and entry["fingerprint"] == mark and step.present():
        return Done(step, entry["sentence"], skipped=True, seconds=0.0)
    entries.pop(step.name, None)
    _write(ledger, entries)
    sentence = step.work(progress(step))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    entries[step.name] = {"fingerprint": mark, "sentence": sentence, "at": at}
    _write(ledger, entries)
    return Done(step, sentence, skipped=False, seconds=time.monotonic() - began)


def _read(ledger: Path) -> dict[str, dict[str, str]]:
    """The ledger; a file that is damaged counts as empty, so that the steps are simply done again."""
    try:
        content = json.loads(ledger.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    wanted = {"fingerprint", "sentence", "at"}
    if not isinstance(content, dict):
        return {}
    return {name: entry for name, entry in content.items() if isinstance(entry, dict) and wanted <= entry.keys()}


def _write(ledger: Path, entries: dict[str, dict[str, str]]) -> None:
    with atomic_write(ledger) as temporary:
        temporary.write_text(json.dumps(entries, indent=2))
