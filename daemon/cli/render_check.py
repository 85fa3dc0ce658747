"""`check` as text for people."""

from daemon.checks import CheckReport, Level
from daemon.cli.output import say, show_table
from triggers.wording import count


def show_findings(report: CheckReport) -> None:
    """One line each, the mend beside what is wrong, and the sum at the end."""
    rows = [
        (
            str(finding.level),
            finding.setting,
            f"{finding.sentence}; {finding.mend}" if finding.mend else finding.sentence,
        )
        for finding in report.findings
    ]
    show_table(("", "SETTING", "FOUND"), rows)
    problems = sum(finding.level is Level.PROBLEM for finding in report.findings)
    warnings = sum(finding.level is Level.WARNING for finding in report.findings)
    say()
    said = [count(problems, "problem") if problems else "", count(warnings, "warning") if warnings else ""]
    counted = " and ".join(text for text in said if text)
    say(f"{report.configuration}: {counted or 'everything it names is there'}")
