"""Workflows as Mermaid diagrams, out and in."""
