"""A stall with three products: the app whose actions the engine's tests run."""
