"""Saves a fitted model as an MLflow model directory, under the flavour that fits its type.

The type is told without importing what the user's code has not imported: a model of a library exists
only where that library is loaded. Code of the user's own is saved by value, so that the model loads
where that code is not.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import logging
import site
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import mlflow.pyfunc
import pandas as pd
from mlflow.models import ModelSignature, infer_signature

from .boundary import Refusal

SIGNATURE_ROWS = 1000
# What scikit-learn's own estimators hold, although they are not scikit-learn's.
TRUSTED = ("sklearn.", "numpy.", "scipy.", "functools.partial")
COLUMNS = "retraind.features"  # read by `predict`
ALWAYS_NEEDED = ("mlflow", "pandas", "numpy", "cloudpickle")


class FramePredictor(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow is not typed here
    """Any object with `predict(DataFrame)`, as MLflow's python_function calls it."""

    def __init__(self, model: Any) -> None:
        self.model = model

    # MLflow reads the annotation of `model_input`: any other than DataFrame it takes for a schema to enforce.
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:  # noqa: ARG002
        return self.model.predict(model_input)


def save(model: Any, directory: str, features: pd.DataFrame, code: ModuleType) -> str:
    """Saves `model`, which the user's module `code` made, to `directory` (new). The flavour.

    `features` are rows that it takes, for the signature. Refuses an object that cannot predict.
    """
    if _is_a(model, "torch.nn", "Module"):
        return _save_torch(model, directory, features, code)
    if _is_a(model, "keras", "Model"):
        return _save_keras(model, directory, features)
    if not callable(getattr(model, "predict", None)):
        raise Refusal(
            f"the function returned {_an_object(model)}, which has no predict; return a fitted scikit-learn estimator, "
            "a PyTorch module, a Keras model, or an object with predict(DataFrame)."
        )
    if _is_a(model, "sklearn.base", "BaseEstimator"):
        return _save_sklearn_of_user(model, directory, features, code)
    by_value(code)
    register_by_value(FramePredictor)
    with _quiet():
        mlflow.pyfunc.save_model(
            directory,
            python_model=FramePredictor(model),
            signature=signature(features, model.predict),
            metadata=columns(features),
            pip_requirements=requirements(code),
        )
    return "python_function"


def save_sklearn(model: Any, directory: str, features: pd.DataFrame, trusted: Sequence[str]) -> None:
    """Saves a scikit-learn model in skops format, which holds no code. Refuses types that nobody trusts."""
    import mlflow.sklearn

    unknown = [name for name in foreign_types(model) if name not in trusted]
    if unknown:
        raise Refusal(
            f"the model holds types that are not scikit-learn's own: {', '.join(unknown)}; "
            "if you trust them, list them under trainer.trusted_types."
        )
    with _quiet():
        mlflow.sklearn.save_model(
            model,
            directory,
            serialization_format="skops",
            skops_trusted_types=untrusted_types(model),
            signature=signature(features, model.predict),
            metadata=columns(features),
            pip_requirements=requirements(names=("scikit-learn", "skops")),
        )


def foreign_types(model: Any) -> list[str]:
    """The types in a scikit-learn model that are not its own."""
    return [name for name in untrusted_types(model) if not name.startswith(TRUSTED)]


def untrusted_types(model: Any) -> list[str]:
    """The types in a scikit-learn model that skops wants to be told to trust."""
    import skops.io

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.skops"
        skops.io.dump(model, file)
        return [str(name) for name in skops.io.get_untrusted_types(file=file)]


def signature(features: pd.DataFrame, predict: Any) -> ModelSignature:
    """Inputs and outputs, from a few rows and what is predicted for them."""
    rows = features.head(SIGNATURE_ROWS)
    with _quiet():
        return infer_signature(rows, predict(rows))


def columns(features: pd.DataFrame) -> dict[str, list[str]]:
    """What a model's metadata says of its inputs, in their order; a signature of tensors does not."""
    return {COLUMNS: [str(name) for name in features.columns]}


def register_by_value(kind: type) -> None:
    """Has cloudpickle save a class of this folder whole: it is called otherwise, or missing, where the model loads."""
    cloudpickle.register_pickle_by_value(sys.modules[kind.__module__])


def by_value(code: ModuleType) -> None:
    """Has cloudpickle save the user's own modules whole, instead of by name."""
    package = sys.modules.get(code.__name__.partition(".")[0], code)
    if not _is_installed(package):
        cloudpickle.register_pickle_by_value(package)


def requirements(code: ModuleType | None = None, names: Iterable[str] = ()) -> list[str]:
    """pip requirements, at the versions in use: what MLflow needs, `names`, and what the module `code` imports.

    MLflow's own inference loads the model once more in another process, which takes seconds.
    """
    wanted = [*ALWAYS_NEEDED, *names]
    if code is not None:
        distributions = importlib.metadata.packages_distributions()
        for top in sorted(_imported_by(code)):
            wanted.extend(distributions.get(top, ())[:1])
    pinned = {}
    for name in wanted:
        try:
            pinned[name.lower()] = f"{name}=={importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:  # a module of the user's own
            continue
    return list(pinned.values())


def _imported_by(code: ModuleType) -> set[str]:
    """The top-level packages that the module's names come from."""
    owners = set()
    for value in vars(code).values():
        owner = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
        if isinstance(owner, str):
            owners.add(owner.partition(".")[0])
    return owners - set(sys.stdlib_module_names)


def _save_sklearn_of_user(model: Any, directory: str, features: pd.DataFrame, code: ModuleType) -> str:
    """In skops format where the model holds nothing but scikit-learn's own, else with the user's code by value."""
    try:
        plain = not foreign_types(model)
    except Exception:  # noqa: BLE001 - skops raises what it likes on a function or class it cannot hold
        plain = False
    if plain:
        save_sklearn(model, directory, features, ())
        return "sklearn"
    import mlflow.sklearn

    by_value(code)
    with _quiet():
        mlflow.sklearn.save_model(
            model,
            directory,
            serialization_format="cloudpickle",
            signature=signature(features, model.predict),
            metadata=columns(features),
            pip_requirements=requirements(code, ("scikit-learn",)),
        )
    return "sklearn"


def _save_torch(model: Any, directory: str, features: pd.DataFrame, code: ModuleType) -> str:
    import mlflow.pytorch
    import torch

    model.eval()
    by_value(code)

    def predict(rows: pd.DataFrame) -> pd.DataFrame:
        device = next((parameter.device for parameter in model.parameters()), "cpu")
        with torch.no_grad():
            return pd.DataFrame(model(torch.from_numpy(rows.to_numpy(dtype="float32")).to(device)).cpu().numpy())

    with _quiet():
        mlflow.pytorch.save_model(
            model,
            directory,
            serialization_format="pickle",  # the other format is traced, and does not hold every network
            signature=signature(features, predict),
            metadata=columns(features),
            pip_requirements=requirements(code, ("torch",)),
        )
    return "pytorch"


def _save_keras(model: Any, directory: str, features: pd.DataFrame) -> str:
    import mlflow.keras

    backend = sys.modules["keras"].backend.backend()
    rows = features.head(SIGNATURE_ROWS).to_numpy()
    with _quiet():
        mlflow.keras.save_model(
            model,
            directory,
            signature=infer_signature(rows, model.predict(rows, verbose=0)),  # MLflow has tensors here, not columns
            metadata={**columns(features), "retraind.keras_backend": backend},
            pip_requirements=requirements(names=("keras", backend)),
        )
    return "keras"


def _is_a(model: Any, module: str, name: str) -> bool:
    """Whether `model` is an instance of a class that is only looked for where its module is loaded."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(model, kind)


def _is_installed(package: ModuleType) -> bool:
    """Whether a package came with the interpreter or was installed into it, so that others can install it too."""
    paths = sysconfig.get_paths()
    places = [site.getusersitepackages(), *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))]
    where = getattr(package, "__file__", None)
    return where is not None and any(Path(where).is_relative_to(place) for place in places)


def _an_object(model: Any) -> str:
    return "nothing" if model is None else f"an object of type {type(model).__name__}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without MLflow's advice to the author of a training script, which nobody here can follow."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"mlflow\.")
        warnings.filterwarnings("ignore", message=".*integer column.*")
        logger = logging.getLogger("mlflow")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
