"""A look at a run under the lock of its row: what is next, who is told, when somebody must look again."""
