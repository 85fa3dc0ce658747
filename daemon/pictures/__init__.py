"""Verdicts as pictures: what the ledger keeps of a look, drawn as SVG and PNG, and as one page of HTML.

Called by `retraind report` and `retraind show --pictures`; nothing else imports it, since matplotlib is slow to load.
"""
