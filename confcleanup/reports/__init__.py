"""A run as data, as a web page, and as a message."""
