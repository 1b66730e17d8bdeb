"""Forward: a step is called, waited for or joined, and what came of it is recorded."""
