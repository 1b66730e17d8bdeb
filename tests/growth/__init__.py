"""How the journal grows: what its statements cost beside many finished runs, and a soak."""
