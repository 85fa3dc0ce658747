"""The edge between a program of this folder and the worker: a spec in, a result out, whatever happens.

The result is `{"ok": true, ...}`, or `{"ok": false, "sentence": ..., "kind": "data" | "unknown"}`
with one plain sentence. The traceback goes to the log only.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


class Refusal(Exception):
    """The work cannot be done, for a reason that is understood: `sentence` names it, its value and the mend."""

    def __init__(self, sentence: str, *, data: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.kind = "data" if data else "unknown"


def run(program: str, spec: str, result: str) -> int:
    """Runs `main(spec)` of the module `program` and writes what it returned to the file `result`."""
    try:
        given = json.loads(Path(spec).read_text())
        answer: dict[str, Any] = {"ok": True, **importlib.import_module(program).main(given)}
    except Refusal as refusal:
        sys.stderr.write(f"{refusal.sentence}\n")
        answer = {"ok": False, "sentence": refusal.sentence, "kind": refusal.kind}
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything; the worker is told in one sentence
        traceback.print_exc()
        answer = {"ok": False, "sentence": last_line(error), "kind": "unknown"}
    sys.stdout.flush()
    _write(Path(result), answer)
    return 0 if answer["ok"] else 1


def last_line(error: BaseException) -> str:
    """What the last line of the error's traceback says, on one line."""
    return " ".join("".join(traceback.format_exception_only(type(error), error)).split())


def _write(path: Path, answer: dict[str, Any]) -> None:
    if path.parent == Path("/dev/fd"):  # a file without a name: the worker reads it when this process has ended
        path.write_text(json.dumps(answer, default=str))
        return
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(answer, default=str))
    os.replace(temporary, path)  # noqa: PTH105 - one step, and no second Path
