"""The config file: loading and checking it, legal holds, and its JSON Schema."""
