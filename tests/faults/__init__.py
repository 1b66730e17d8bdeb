"""What the engine must survive: each test pulls a plug and looks at the rows and at an outside ledger."""
