"""The tests of flowstate."""
