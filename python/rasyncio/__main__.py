"""`python -m rasyncio`."""

import sys

from ._runner import main

if __name__ == "__main__":
    main(sys.argv[1:])
