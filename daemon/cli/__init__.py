"""The `retraind` command.

Everything heavy is imported inside the verb that needs it, so that help appears at once and
`status` starts without MLflow, pandas or scikit-learn.
"""


def main() -> None:
    """The entry point `retraind`; exits with 0 (done), 1 (failed) or 2 (configuration or call wrong)."""
    from daemon.cli.app import app  # typer is not needed to import this package

    app(prog_name="retraind")


__all__ = ["main"]
