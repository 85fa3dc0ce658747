"""What takes long to make and is the same each time: made once in a run of the tests, and copied from then on.

A ledger comes out of its migrations, and so does a store of MLflow's, which takes seconds; the tests want hundreds of
them. Tests of the making itself begin with nothing, as users do.
"""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from retraind.ledger import Ledger

_shared: list[Path] = []

# In a process of its own, since a test process that never asks MLflow anything need not hold it.
MAKE_STORE = """
import sys
from pathlib import Path
from workers.registry import Registry

path = Path(sys.argv[1])
Registry(f"sqlite:///{path}", path.parent / "artifacts", path.parent / "mlflow.lock").ensure_ready()
"""


def share(directory: Path) -> None:
    """Keeps what is made in `directory`, which all test processes of this run have in common."""
    _shared[:] = [directory]


def empty_ledger(path: Path) -> str:
    """The URL of a ledger at `path`, migrated and empty."""
    return f"sqlite:///{_copied(path, 'ledger', _make_ledger)}"


def empty_mlflow(path: Path) -> str:
    """The URL of an MLflow store at `path`, with its tables and nothing registered."""
    return f"sqlite:///{_copied(path, 'mlflow', _make_mlflow)}"


def _copied(path: Path, name: str, make: Callable[[Path], None]) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(_made_once(name, make), path)
    path.chmod(0o600)  # as retraind keeps them
    return path


def _made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The file, from whichever test process comes first; the others wait for it."""
    (directory,) = _shared
    with (directory / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = directory / name
        if not place.exists():
            unfinished = directory / f"{name}.part"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished / "made.db")
            unfinished.rename(place)
        return place / "made.db"


def _make_ledger(path: Path) -> None:
    Ledger.open(f"sqlite:///{path}").close()


def _make_mlflow(path: Path) -> None:
    subprocess.run([sys.executable, "-c", MAKE_STORE, str(path)], check=True, capture_output=True)
