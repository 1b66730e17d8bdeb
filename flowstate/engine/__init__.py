"""The engine: decides purely (`decide`, `branches`), and writes with compare-and-set verbs of the journal.

A run begins in `start/`, or in one transaction in `start/atomic.py`. `drive` goes from step to step: `do/` carries
one out or has it wait (`waits/`), `undo/` takes one back, `look/` turns decisions into writes under the run's lock.
`entities/` writes users' rows and takes that back. `carry/` is a worker's and a sweeper's work, `operate/` what
people ask for, `approvals/` what they decide, `audit/` checks the journal. Below them all: `execution` is one
process's hold on a run, `calls/` surrounds the user's code, `database/` the transactions, `handover` leaves work
to the carrier.
"""
