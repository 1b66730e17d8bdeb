"""What workers and sweepers do: they find runs that are due and go on with them."""
