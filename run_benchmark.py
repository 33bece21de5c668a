#!/usr/bin/env python3
"""Cross detectors, losses, datasets and seeds; see `python run_benchmark.py --help`."""

import sys

from benchmark.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
