"""The audit log: the ledger's events, in order, as whole lines of JSON that anybody can follow and verify."""

from retraind.audit.log import AuditLog
from retraind.audit.verification import Report, verify

__all__ = ["AuditLog", "Report", "verify"]
