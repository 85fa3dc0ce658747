"""Starts one program of this folder: `python path/to/runner NAME SPEC RESULT`.

The folder becomes a package of a name that no user has, and leaves the import path: the user's own
modules, found from the working directory on, may be called whatever they like.
"""

import importlib
import os
import sys
import types

PACKAGE = "retraind_runner"


def main() -> int:
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - quicker than importing pathlib twice
    sys.path = [os.getcwd(), *(entry for entry in sys.path if os.path.abspath(entry) != folder)]  # noqa: PTH100, PTH109
    package = types.ModuleType(PACKAGE)
    package.__path__ = [folder]
    sys.modules[PACKAGE] = package
    program, spec, result = sys.argv[1:4]
    boundary = importlib.import_module(f"{PACKAGE}.boundary")
    return int(boundary.run(f"{PACKAGE}.{program}", spec, result))


if __name__ == "__main__":
    sys.exit(main())
