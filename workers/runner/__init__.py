"""Programs that run in the user's interpreter, to train and to predict; nothing here imports the rest of retraind.

They need pandas, pyarrow, mlflow and what the user's model needs, and Python 3.10 or newer. The
worker starts them as `python workers/runner NAME SPEC RESULT` (see `__main__.py`); what they are told
and what they answer are JSON files, described in each program's docstring.
"""
