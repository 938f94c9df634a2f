"""``python -m qlmbench``: the command line."""

from qlmbench.cli import main

if __name__ == "__main__":
    main(prog_name="qlmbench")
