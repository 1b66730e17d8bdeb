"""The engine: decides purely (`decide`), and writes with compare-and-set verbs of the journal.

Beginning: start.py with inputs.py, keys.py and new_run.py. Working: drive.py goes from step to step, forward.py
carries one out, backward.py undoes one, look.py turns decisions into writes, atomic.py does a whole workflow in
one transaction, entities/ writes users' rows and undoes that. In a worker: carry.py takes what a message
brings, sweep.py and recover.py find what was lost. For people: operate.py, takeover.py, authority.py, fsck.py.
"""
