"""confcleanup removes what has outlived its purpose from meeting and telephone platforms."""

__version__ = "0.1.0"
