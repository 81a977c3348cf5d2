"""`python -m benchmark` is the `benchmark` command."""

from benchmark.cli import main

if __name__ == "__main__":
    main()
