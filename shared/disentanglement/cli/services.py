"""`disentangle up` and `disentangle down`: the four services as processes of this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from disentanglement.cli.console import print_json, say
from disentanglement.cli.options import JsonOption, StoreOption
from disentanglement.cli.settings import Place, state_directory

if TYPE_CHECKING:
    from disentanglement.cli.local_services import LocalServices, Setup

FIRST_PORT = 50050


def up(
    port: Annotated[
        int, typer.Option("--port", min=1024, max=65532, help="The aggregator's port; the others take the next three")
    ] = FIRST_PORT,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Steps at once per service; default: processors / 2")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start the four services on loopback, and wait until they are healthy. Called
    twice, it changes nothing.

    Clients need the aggregator's address alone. The services stay until
    `disentangle down`; a service that has died is started again by `disentangle
    up`.

    Examples:

      disentangle up

      disentangle study run study.yaml --server 127.0.0.1:50050
    """
    from disentanglement.cli.local_services import LocalServices, Setup, ports_from

    place = Place.of(store)
    setup = Setup(place.store_url, ports_from(port), workers or max(1, (os.cpu_count() or 2) // 2))
    services = LocalServices(state_directory() / "services")
    with services.locked():
        bring_up(services, setup)
    _show(services, setup, as_json)


def down(as_json: JsonOption = False) -> None:
    """Stop the services: running steps checkpoint, and `disentangle up` goes on with
    them. Called twice is harmless. What a killed demo left running is stopped, too.
    """
    stopped = [service for name in ("services", "demo") for service in _stop(name)]
    if as_json:
        print_json({"stopped": stopped})
    else:
        say(f"stopped: {', '.join(stopped)}" if stopped else "no services are running")


def _stop(name: str) -> list[str]:
    from disentanglement.cli.local_services import LocalServices
    from disentanglement.cli.progress_bar import bar

    services = LocalServices(state_directory() / name)
    if not services.running():
        return []
    with services.locked(wait=False), bar("stopping services"):
        return services.stop()


def bring_up(services: LocalServices, setup: Setup) -> None:
    """Starts what does not run; services with other settings are stopped first.

    Raises:
        Unavailable: a service did not come up.
    """
    from disentanglement.cli.local_services import SERVICES, environment
    from disentanglement.cli.progress_bar import bar

    if services.setup() != setup:
        services.stop()
        services.write(setup)
    missing = [service for service in SERVICES if services.pid(service) is None]
    for service in missing:
        services.start(service, setup, environment())
    with bar("starting services", shown=bool(missing)) as update:
        services.wait(setup, tick=lambda share: update(share, ""))


def _show(services: LocalServices, setup: Setup, as_json: bool) -> None:
    from disentanglement.cli.local_services import SERVICES
    from disentanglement.cli.tables import print_records

    rows = [
        {
            "service": service,
            "address": setup.address(service),
            "pid": services.pid(service),
            "log": str(services.log_of(service)),
        }
        for service in SERVICES
    ]
    print_records(rows, as_json=as_json, nothing="")
    if not as_json:
        say(f"clients talk to {setup.address('aggregator')}; stop with: disentangle down")
