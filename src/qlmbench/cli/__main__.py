"""``python -m qlmbench.cli``."""

from qlmbench.cli import main

if __name__ == "__main__":
    main()
