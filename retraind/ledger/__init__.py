"""The ledger: jobs, stages, leases, trigger state, deployments and events, in one database."""

from sqlalchemy import Connection

from retraind.ledger.ledger import Ledger, Transaction

__all__ = ["Connection", "Ledger", "Transaction"]
