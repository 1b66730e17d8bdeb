"""The documentation under test: every sample runs, every table matches the code, every link leads somewhere."""
