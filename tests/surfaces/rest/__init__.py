"""REST, asked as a client asks: by URLs, against the models of the example shop."""
