"""The engine: decides purely (`decide`), and writes with compare-and-set verbs of the journal.

start.py begins a run, drive.py works on it, look.py turns decisions into writes, forward.py carries out a
step, backward.py undoes one, atomic.py does a whole workflow in one transaction, operate.py is for people.
"""
