"""What people decide: who may, what follows from their votes, and what waits for whom."""
