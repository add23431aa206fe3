"""`python -m exegesis`."""

from exegesis.cli import main

if __name__ == "__main__":
    main()
