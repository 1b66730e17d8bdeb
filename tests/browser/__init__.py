"""Tests that open the shop as people do: `manage.py demo` in a process of its own, and a real browser."""
