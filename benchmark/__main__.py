"""`python -m benchmark` is the `benchmark` command."""

from benchmark.cli.main import main

if __name__ == "__main__":
    main()
