"""The ledger: jobs, stages, leases, trigger state, deployments and events, in one database."""

from retraind.ledger.ledger import Ledger, Transaction

__all__ = ["Ledger", "Transaction"]
