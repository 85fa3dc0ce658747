"""`retraind backtest` and `retraind tune`: the past once more, through the monitor itself, on a clock that is moved.

Nothing of the user's is written: looks, jobs and deployments go into a ledger of the replay's own, which is
gone with it, and the predictions store is only read.
"""
