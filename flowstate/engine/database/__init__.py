"""Transactions, what other transactions do to them, and what a database may say of an error."""
