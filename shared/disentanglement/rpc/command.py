"""The command line of a service: `serve`, and `run` for one group of models of a study."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from disentanglement.errors import ArtifactNotFound, DisentanglementError, SpecError, Unavailable
from disentanglement.rpc.server import Listening, Service, add_listen_options, listening_from, serve
from disentanglement.rpc.settings import ServiceSettings, configure_logging, keep_log
from disentanglement.specs import Step
from disentanglement.steps.context import StepContext
from disentanglement.steps.ledger import StudyLedger
from disentanglement.steps.one_shot import ExitCode, Group, parse_numbers, run_group
from disentanglement.steps.run_log import RunLog
from disentanglement.storage.settings import STORE_VARIABLE

log = logging.getLogger(__name__)

USAGE = 2

RUN_HELP = """\
Run one step of a group of models of a study in this process, then exit:
  0   all of the group is committed
  1   something nobody foresaw; the group's other models were run all the same
  75  try again: asked to stop (SIGTERM), the store is down, or an input is not committed yet
  78  what is not committed has failure records
  79  this release computes other numbers than the plan wants (contract versions differ)
Running it again finishes what is left; what is committed is not computed again. A store that does not answer at the
start is waited for: five minutes."""
INDEX_VARIABLES = ("JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID")
STORE_PATIENCE_S, STORE_PAUSE_S = 300.0, 5.0

ENVIRONMENT = """\
Environment: DISENTANGLEMENT_STORE (a directory or s3://bucket/prefix), DISENTANGLEMENT_CACHE, DISENTANGLEMENT_DEVICE,
DISENTANGLEMENT_CHECKPOINT_S (60), DISENTANGLEMENT_PACK (how a group's models are trained together: off, in_turn or
stacked; what suits the device), DISENTANGLEMENT_TOKEN (asked of every caller; required beyond loopback),
DISENTANGLEMENT_LOG_LEVEL. The aggregator
also: DISENTANGLEMENT_TLS_CA (a PEM file, or `system`: the other services are called by TLS) and
DISENTANGLEMENT_INSECURE_CHANNEL=1 (the token may be sent to other hosts in clear)."""


@dataclass(frozen=True, slots=True)
class Command:
    """A further command of a service; `run` gives its exit code."""

    name: str
    help: str
    description: str
    epilog: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Mapping[str, str]], int]


def main(
    name: str,
    build: Callable[[Mapping[str, str]], Service],
    step: Step | None,
    arguments: Sequence[str],
    env: Mapping[str, str],
    *,
    others: Sequence[Command] = (),
) -> int:
    """Runs a service's command; `build` is called inside a running event loop. The exit code."""
    options = _parser(name, step, others).parse_args(arguments)
    try:
        settings = ServiceSettings.from_env(env)
        configure_logging(settings.log_level)
        complete = {**env, STORE_VARIABLE: settings.store}
        if options.command == "run":
            assert step is not None
            return run(step, options, complete)
        for command in others:
            if command.name == options.command:
                return command.run(options, complete)
        asyncio.run(_serve(build, listening_from(options, env), complete))
    except (SpecError, ArtifactNotFound) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return USAGE
    except Unavailable as error:
        sys.stderr.write(f"{name}: {error}\n")
        return ExitCode.TRY_AGAIN
    except DisentanglementError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1
    return 0


async def _serve(build: Callable[[Mapping[str, str]], Service], listening: Listening, env: Mapping[str, str]) -> None:
    await serve(build(env), listening)


def run(
    step: Step,
    options: argparse.Namespace,
    env: Mapping[str, str],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Runs one group of models; the exit code.

    Raises:
        Unavailable: the store did not answer for as long as it is waited for.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    group = Group(options.plan, options.cell, parse_numbers(options.models), options.pack, index_from(options, env))
    run_log = keep_log(RunLog())
    opened = _patiently(lambda: StepContext.from_env(env), stop, clock)
    context = opened.replace(should_stop=stop.is_set, report=run_log.report, keep_log=run_log.keep)
    ledger = StudyLedger(context.store, options.project, options.study)
    return run_group(step, group, ledger, context, with_codes=getattr(options, "with_codes", False))


def index_from(options: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Which group: as it is said, or as the engine that started us says.

    Raises:
        SpecError: nobody says it, or it is no number.
    """
    if options.index is not None:
        return int(options.index)
    for name in INDEX_VARIABLES:
        if text := env.get(name):
            if not text.isdecimal():
                raise SpecError.of(name, "0 or more", text)
            return int(text)
    raise SpecError.of("--index", f"which group, or one of {', '.join(INDEX_VARIABLES)} in the environment", "neither")


def _patiently(open_store: Callable[[], StepContext], stop: threading.Event, clock: Callable[[], float]) -> StepContext:
    """Engines wait longer and longer between tries at an index, so an outage is better waited for here."""
    until = clock() + STORE_PATIENCE_S
    while True:
        try:
            return open_store()
        except Unavailable as error:
            if clock() >= until or stop.wait(STORE_PAUSE_S):
                raise
            log.warning("waiting for the store", extra={"cause": str(error)})


def _parser(name: str, step: Step | None, others: Sequence[Command]) -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=f"python -m disentanglement.services.{name}",
        description=f"The {name} service.",
        epilog=ENVIRONMENT,
        formatter_class=layout,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    about = "Serve gRPC until SIGTERM; then drain: running steps checkpoint, and the exit code is 0."
    add_listen_options(commands.add_parser("serve", help="serve gRPC", description=about, epilog=ENVIRONMENT))
    if step is not None:
        _add_run_options(
            commands.add_parser("run", help="run one group of models", description=RUN_HELP, formatter_class=layout),
            step,
        )
    for command in others:
        command.add_options(
            commands.add_parser(
                command.name,
                help=command.help,
                description=command.description,
                epilog=command.epilog,
                formatter_class=layout,
            )
        )
    return parser


def _add_run_options(parser: argparse.ArgumentParser, step: Step) -> None:
    parser.add_argument("--study", required=True, help="name of the study, for its failure records")
    parser.add_argument("--plan", required=True, metavar="DIGEST", help="digest of the study's plan")
    parser.add_argument("--cell", required=True, metavar="DATASET.METHOD", help="which cell of the plan")
    parser.add_argument("--models", required=True, metavar="NUMBERS", help="numbers of models, e.g. 0-299")
    parser.add_argument("--pack", type=_positive, default=1, metavar="K", help="models in a group (default 1)")
    from_env = f"which group, from 0 (default: {' or '.join(INDEX_VARIABLES)})"
    parser.add_argument("--index", type=_natural, metavar="N", help=from_env)
    if step == "train":
        about = "after each training, also extract the model's representations"
        parser.add_argument("--with-codes", action="store_true", help=about)
    parser.add_argument("--project", default="default", help="whose study it is (default: default)")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("wanted 1 or more")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("wanted 0 or more")
    return int(text)
