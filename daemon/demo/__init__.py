"""`retraind demo`: a year of real flights through the real system, at a compressed pace.

Three processes and their children: this one tells the story, `daemon.demo.serving` is the
application whose model is kept fresh, and `retraind up` is what a user would run.
"""
