"""The configuration: its models, how the file is read, and what is said of a wrong one. `loading.load` is the door."""
