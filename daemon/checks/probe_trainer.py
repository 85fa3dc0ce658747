"""Run by file in the interpreter that will train: imports the trainer and tries its parameters; trains nothing.

A JSON object comes in on standard input: `params`, `weighted`, and `sklearn` (an import path) or
`function` (module:function or path.py:function). The last line of standard output is the answer:
`python` (its version) and `problems` (sentences, each ending in `; its mend`). It stands alone: the
interpreter need not have retraind.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import json
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

COMMON = ("pandas", "pyarrow", "mlflow", "cloudpickle")
INSTALLED_AS = {"mlflow": "mlflow-skinny", "sklearn": "scikit-learn"}


def main() -> None:
    """Reads the question and writes the answer."""
    spec = json.load(sys.stdin)
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(Path.cwd())] + [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    problems = list(missing_packages(COMMON + (("sklearn", "skops") if "sklearn" in spec else ())))
    if not problems:
        found = estimator(spec) if "sklearn" in spec else function(spec)
        problems = [] if found is None else [found]
    answer = {"python": platform.python_version(), "problems": problems}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


def missing_packages(names: Sequence[str]) -> Iterator[str]:
    """A sentence where the interpreter lacks some of `names`."""
    lacking = [name for name in names if importlib.util.find_spec(name) is None]
    if lacking:
        wanted = " ".join(INSTALLED_AS.get(name, name) for name in lacking)
        yield (
            f"{sys.executable} has no {' and no '.join(lacking)}, which training needs; "
            f"run {sys.executable} -m pip install {wanted}"
        )


def estimator(spec: Mapping[str, Any]) -> str | None:
    """What is wrong with an estimator and its parameters; None: nothing."""
    path, params = spec["sklearn"], spec["params"]
    where, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(where)
    except Exception as error:  # noqa: BLE001  # the user's code may raise anything
        return not_imported(repr(where), error)
    kind = getattr(module, name, None)
    if kind is None:
        return f"{where!r} has no {name!r}{nearest(name, dir(module))}; correct the import path"
    if not (isinstance(kind, type) and hasattr(kind, "fit") and hasattr(kind, "predict")):
        return f"{path!r} is not an estimator, as it has no fit and predict; name one that has"
    try:
        kind(**params)
    except Exception as error:  # noqa: BLE001  # as above
        known = inspect.signature(kind).parameters
        near = "".join(nearest(each, known) for each in params if each not in known)
        return f"{path} does not take these params ({told(error)}){near}; correct trainer.params"
    if spec["weighted"] and "sample_weight" not in inspect.signature(kind.fit).parameters:
        return f"half_life weights the rows, and {path} takes no sample_weight; remove half_life"
    return None


def function(spec: Mapping[str, Any]) -> str | None:
    """What is wrong with a training function and its parameters; None: nothing."""
    where, _, name = spec["function"].rpartition(":")
    try:
        module = load(where)
    except Exception as error:  # noqa: BLE001  # the user's code may raise anything
        return not_imported(where, error)
    found = getattr(module, name, None)
    if not callable(found):
        return f"{where} has no function {name!r}{nearest(name, dir(module))}; correct trainer.function"
    arguments = dict(spec["params"], **({"sample_weight": None} if spec["weighted"] else {}))
    try:
        inspect.signature(found).bind(None, "", **arguments)
    except TypeError as error:
        return (
            f"{where} is called as {name}(data, target, **params) and does not take that ({error}); "
            "correct trainer.params"
        )
    return None


def load(where: str) -> ModuleType:
    """The user's module: a file, or a name on the import path."""
    if not where.endswith(".py"):
        return importlib.import_module(where)
    path = Path(where).resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not Python source")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def not_imported(what: str, error: Exception) -> str:
    return f"{what} cannot be imported in {sys.executable} ({told(error)}); mend it, or name another interpreter"


def told(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'max_iter'?)`, or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


if __name__ == "__main__":
    main()
