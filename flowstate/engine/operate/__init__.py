"""What a person does with a run: cancel, retry, waive, force; and who may."""
