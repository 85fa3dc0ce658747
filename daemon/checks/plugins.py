"""Is a plug-in that the configuration names installed in retraind's own environment?"""

from importlib.metadata import entry_points

from daemon.checks.finding import Finding, ok, problem
from retraind.nearest import did_you_mean


def check_plugin(what: str, group: str, name: str) -> Finding:
    """The entry point `name` of `group`; it is not loaded."""
    points = {point.name: point for point in entry_points(group=group)}
    if name in points:
        return ok(what, f"the plug-in {name!r} is {points[name].value}")
    return problem(
        what,
        f"no installed package brings {name!r} in {group}{did_you_mean(name, points)}",
        "install the package that does into retraind's environment",
    )
