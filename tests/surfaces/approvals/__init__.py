"""What people who decide see and do: over HTTP, in the admin, by links and mail."""
