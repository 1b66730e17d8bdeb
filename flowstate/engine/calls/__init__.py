"""What surrounds a call into the user's code: its context, its limits, and what becomes of its errors."""
