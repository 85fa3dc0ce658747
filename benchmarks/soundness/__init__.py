"""Do the triggers keep their statistical promises? Seeded streams, judged by the public triggers themselves.

`python -m benchmarks.soundness` runs it; docs/soundness.md says what is promised and how it is measured.
"""
