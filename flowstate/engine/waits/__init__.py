"""Kinds of waiting steps: what each waits for, and how what comes finds who waits."""
