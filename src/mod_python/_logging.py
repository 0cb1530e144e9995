"""A handler for the standard library's logging (apache.LogHandler)."""

import logging

import _apache

__all__ = ["LogHandler"]


class LogHandler(logging.Handler):
    """Writes records to Apache's error log, under the current request.

    Levels keep their meaning: CRITICAL is crit, ERROR error, WARNING warn, INFO
    info, and below that debug. LogLevel decides what is written.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            _apache._log(self.format(record), _level_of(record.levelno))
        except Exception:
            self.handleError(record)


def _level_of(level: int) -> int:
    if level >= logging.CRITICAL:
        return _apache.APLOG_CRIT
    if level >= logging.ERROR:
        return _apache.APLOG_ERR
    if level >= logging.WARNING:
        return _apache.APLOG_WARNING
    return _apache.APLOG_INFO if level >= logging.INFO else _apache.APLOG_DEBUG
