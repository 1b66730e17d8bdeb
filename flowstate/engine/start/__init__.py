"""How a run begins: refused, given back, carried out in one transaction, or handed over."""
