"""Whole stories: several parts together, as a project uses them."""
