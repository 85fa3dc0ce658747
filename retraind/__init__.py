"""What every process shares: configuration, predictions store, ledger, audit log, queue, alerts."""
