"""`python -m kukulkan` is the `kukulkan` command."""

import sys

from kukulkan.cli import main

if __name__ == "__main__":
    sys.exit(main())
