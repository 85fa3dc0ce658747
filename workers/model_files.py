"""A model's files are those that were registered, or they are not loaded: what is in a model runs as code.

Training notes the digest of what it made in the ledger, registering keeps it with the version, and
whoever is about to load or show the files asks here first.
"""

import hashlib
import json
from pathlib import Path

import structlog
import yaml

from retraind.errors import UnknownFailure
from retraind.ledger.rows import Version
from workers.durable import clear, remove
from workers.session import Session

_log = structlog.get_logger(__name__)
DESCRIPTION = "MLmodel"
COMPILED = "__pycache__"  # whoever loads a model may leave it there; it is neither hashed nor loaded
# What MLflow or a deploy target adds beside the model.
_BESIDE = frozenset({"registered_model_meta", "VERSION.json"})


def model_digest(directory: Path) -> str:
    """SHA-256, in hex, over the names and contents of a model directory's files; links count as what they point to.

    Of the description only what says how the model is loaded counts: MLflow adds the run's id and writes it anew.
    """
    digest = hashlib.sha256()
    for path in sorted(_files(directory), key=lambda path: path.relative_to(directory).as_posix()):
        name = path.relative_to(directory).as_posix()
        content = _loading(path) if name == DESCRIPTION else _content(path)
        digest.update(f"{len(name)} {name} {content}\n".encode())
    return digest.hexdigest()


def must_be(directory: Path, digest: str | None, what: str) -> Path:
    """`directory`, whose model is the one with `digest`. Raises UnknownFailure where it is another.

    None for `digest`: the model is older than digests, and taken as it is.
    """
    if digest is not None and model_digest(directory) != digest:
        raise UnknownFailure(
            f"{what} in {directory} is not what was recorded of it: its files were changed since, and are not loaded; "
            "find out who changed them, then start a new job"
        )
    return directory


def remove_compiled(directory: Path) -> None:
    """Removes compiled code beside a model's own: Python would rather load it, and no digest vouches for it."""
    for compiled in list(directory.rglob(COMPILED)):
        clear(compiled)


def files_of(session: Session, version: Version, fetched: Path) -> Path:
    """The version's model directory on this host: where its job left it, else fetched from the registry to `fetched`.

    Files that were changed since they were registered are passed over. Raises UnknownFailure where the
    registry has no others, and what `Registry.download` raises.
    """
    kept = Path(version.directory)
    if (kept / DESCRIPTION).is_file():
        if version.digest is None or model_digest(kept) == version.digest:
            return kept
        _log.error("model_files_changed", model=version.model, version=version.version, directory=str(kept))
    if fetched.exists() and version.digest is not None and model_digest(fetched) != version.digest:
        remove(fetched)
    name = session.registered_name(version.model)
    return must_be(
        session.registry.download(name, version.version, fetched),
        version.digest,
        f"version {version.version} of {version.model}",
    )


def _files(directory: Path) -> list[Path]:
    return [
        path
        for path in directory.rglob("*")
        if not path.is_dir()
        and COMPILED not in path.relative_to(directory).parts
        and str(path.relative_to(directory)) not in _BESIDE
    ]


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _loading(path: Path) -> str:
    """How the description says the model is loaded; its very bytes where it is no description."""
    try:
        told = yaml.safe_load(path.read_text())
        return json.dumps([told["flavors"], told.get("metadata")], sort_keys=True, default=str)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError):
        return _content(path)
