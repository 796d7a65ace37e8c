"""Run petflame with ``python -m petflame``."""

from petflame.cli import main

if __name__ == "__main__":
    main()
