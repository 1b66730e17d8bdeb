"""Workflows that are functions: called from the start again and again, they ask for steps, which become rows.

The function itself is a step too, the last of its run. It depends on what it asked for last, so that the engine
has it go on when that has settled, as any other step. `replay` decides purely what an asking gets.
"""
