"""What the Makefile runs; the standard library only, so that it works before anything is installed."""
