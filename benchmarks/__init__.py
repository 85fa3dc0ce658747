"""What retraind costs, measured on the machine at hand. `make bench` runs `python -m benchmarks`."""
