"""Approvals in the admin: the inbox, the page of one, several at once, and handing them on."""
