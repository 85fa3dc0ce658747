"""The ground floor: evidence in, verdict out.

Everything here is pure: no clock, no file, no database, no network. `now` is always an argument,
evidence is always gathered by somebody above (`daemon.evidence`).
"""
