"""Reading settings from the environment, with the variable's name in every complaint."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from disentanglement.errors import SpecError
from disentanglement.storage.settings import default_store

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What every service reads."""

    store: str
    projects: tuple[str, ...]
    """Whose unfinished work is gone on with at start."""
    log_level: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ServiceSettings:
        """From DISENTANGLEMENT_STORE, DISENTANGLEMENT_PROJECTS and DISENTANGLEMENT_LOG_LEVEL."""
        return cls(
            store=default_store(env),
            projects=tuple(env.get("DISENTANGLEMENT_PROJECTS", "default").split(",")),
            log_level=one_of(env, "DISENTANGLEMENT_LOG_LEVEL", LOG_LEVELS, "INFO"),
        )


def number(env: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    """A whole number, at least `least`; SpecError naming the variable otherwise."""
    text = env.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise SpecError.of(name, f"a whole number, {least} or more", text)
    return int(text)


def one_of(env: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    """One of some words, in any case; SpecError naming the variable otherwise."""
    word = (env.get(name) or default).upper()
    if word not in allowed:
        raise SpecError.of(name, f"one of {', '.join(allowed)}", word)
    return word


def num_cores() -> int:
    """Cores of this machine."""
    return os.cpu_count() or 1


class LineFormatter(logging.Formatter):
    """One line per event: time, level, logger, message, then the fields as `name=value`."""

    _own = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback follows where there is one."""
        text = super().format(record)
        line, newline, traceback = text.partition("\n")
        fields = (f" {name}={value!s}" for name, value in record.__dict__.items() if name not in self._own)
        return f"{line}{''.join(fields)}{newline}{traceback}"


LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"

LogHandler = TypeVar("LogHandler", bound=logging.Handler)


def configure_logging(level: str) -> None:
    """Log lines on standard error; called by entry points alone."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(LINE))
    logging.basicConfig(level=level, handlers=[handler])


def keep_log(handler: LogHandler) -> LogHandler:
    """The same lines to another handler as well."""
    handler.setFormatter(LineFormatter(LINE))
    logging.getLogger().addHandler(handler)
    return handler
