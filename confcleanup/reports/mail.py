"""Send one mail to each of many people, through the mail server that an address of Apprise names.

Apprise itself sends to the targets in the address only. The messages are built by the standard library, which refuses
line breaks in headers; receivers are in plain form, and no header holds text from vendors.
"""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, make_msgid
from functools import cached_property
from typing import Any

from ..redact import redact
from ..settings.tables import MAIL, NotifySettings, is_loopback
from .notify import NotSent, plugin_for, revealed

REFUSED = range(500, 600)
CLOSING = 421
"""The mail server ends the connection, as many do after some messages."""


class Mailer:
    """One connection to a mail server, made anew where the server ends it. ``now`` dates the messages."""

    def __init__(self, settings: NotifySettings, now: datetime) -> None:
        self._settings, self._now = settings, now
        self._session: smtplib.SMTP | None = None

    @cached_property
    def _plugin(self) -> Any:
        """Apprise's own reading of the address. Raises NotSent."""
        secret = next((url for url in self._settings.apprise if revealed(url).lower().startswith(MAIL)), None)
        if secret is None:
            raise NotSent("no address in apprise names a mail server")
        plugin = plugin_for(secret, self._settings)
        plain = plugin.secure_mode == "insecure" and not is_loopback(plugin.smtp_host)
        if plain and not self._settings.allow_insecure_http:
            raise NotSent("the mail server would get messages in clear text; use the form mailtos://")
        if plugin.password:
            redact.add(plugin.password)
        return plugin

    def send(self, address: str, subject: str, text: str) -> bool:
        """Sends a message; False if the server will never take one for this receiver.

        Raises NotSent, never with the words of an answer, which may hold anything.
        """
        name, sender = self._plugin.from_addr
        message = EmailMessage()
        message["From"] = formataddr((name or "", sender))
        message["To"] = address
        message["Subject"] = subject
        message["Date"] = format_datetime(self._now)
        message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        try:
            self._send(message, sender, address)
        except smtplib.SMTPRecipientsRefused as error:
            if all(code in REFUSED for code, _ in error.recipients.values()):
                return False
            raise NotSent("the mail server does not take mail for the receiver now") from None
        except smtplib.SMTPResponseException as error:
            raise NotSent(f"the mail server answered {error.smtp_code}") from None
        except smtplib.SMTPException as error:
            raise NotSent(f"the mail server did not take it ({type(error).__name__})") from None
        return True

    def _send(self, message: EmailMessage, sender: str, address: str) -> None:
        for again in (True, False):
            try:
                self._session = self._session or self._connect()
                self._session.send_message(message, sender, [address])
                return
            except (smtplib.SMTPException, OSError) as error:
                code = getattr(error, "smtp_code", CLOSING if isinstance(error, smtplib.SMTPServerDisconnected) else 0)
                if not isinstance(error, smtplib.SMTPRecipientsRefused):
                    self.close()
                if code != CLOSING or not again:
                    raise

    def _connect(self) -> smtplib.SMTP:
        plugin, context = self._plugin, ssl.create_default_context()
        seconds = self._settings.timeout.total_seconds()
        if not plugin.verify_certificate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if plugin.secure_mode == "ssl":
            session: smtplib.SMTP = smtplib.SMTP_SSL(plugin.smtp_host, plugin.port, timeout=seconds, context=context)
        else:
            session = smtplib.SMTP(plugin.smtp_host, plugin.port, timeout=seconds)
        try:
            if plugin.secure_mode == "starttls":
                session.starttls(context=context)
            if plugin.user and plugin.password:
                session.login(plugin.user, plugin.password)
        except BaseException:  # an interrupt too must not leave the connection open; it is raised again
            session.close()
            raise
        return session

    def close(self) -> None:
        """Ends the connection."""
        session, self._session = self._session, None
        if session:
            with suppress(smtplib.SMTPException, OSError):
                session.quit()
