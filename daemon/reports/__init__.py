"""What people are told about the system, as plain data: gathered from the ledger, shown by the command.

Every field here is a field of the `--json` output and stands in docs/json.md.
"""
