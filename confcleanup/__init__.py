"""Delete old conferences and recordings of meeting and telephone platforms; made to run unattended from cron."""

__version__ = "0.1.0"
