"""The command's root: its groups, and the translation of errors into lines and exit codes."""

from __future__ import annotations

import logging
import signal
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from disentanglement.cli import (
    about,
    cluster_commands,
    data,
    demo,
    metrics,
    model_export,
    models,
    results,
    score,
    services,
    step,
    store,
    study,
)
from disentanglement.cli.console import complain, say
from disentanglement.cli.exit_codes import ExitCode, exit_code_of, listing
from disentanglement.errors import DisentanglementError

log = logging.getLogger(__name__)

START, STUDIES, SINGLE, KEEP = "Start here", "Studies", "Step by step", "Data, store and services"


class Root(TyperGroup):
    """The outermost loop: no error of ours shows a traceback, and every end has its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except DisentanglementError as error:
            complain(error)
            raise typer.Exit(exit_code_of(error)) from None
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except BrokenPipeError:
            raise  # somebody closed our output, e.g. `head`: typer ends quietly
        except OSError as error:
            say(f"error: {error}")
            raise typer.Exit(ExitCode.UNEXPECTED) from None


app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=listing(),
)


@app.callback()
def root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more on standard error")] = False,
) -> None:
    """Train many small VAEs, extract their representations, score how disentangled they are, compare the scores.

    [bold]Score your own codes:[/]   disentangle score codes.npz --metrics mig,dci

    [bold]See the whole pipeline:[/]  disentangle demo

    [bold]Run a study:[/]            disentangle study run study.yaml
    """
    signal.signal(signal.SIGTERM, stop_as_ctrl_c_does)
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(levelname)s %(name)s: %(message)s")


def stop_as_ctrl_c_does(number: int, frame: object) -> None:
    """SIGTERM leaves as little behind as Ctrl-C: checkpoints are written, services are stopped."""
    raise KeyboardInterrupt


app.command("demo", rich_help_panel=START)(demo.demo)
app.command("score", rich_help_panel=START)(score.score)
study.app.command("submit")(cluster_commands.submit)
study.app.command("why")(cluster_commands.why)
study.app.command("logs")(cluster_commands.logs)
app.add_typer(study.app, name="study", rich_help_panel=STUDIES)
app.add_typer(results.app, name="results", rich_help_panel=STUDIES)
models.app.command("export")(model_export.export)
models.app.command("tensorboard")(model_export.tensorboard)
app.add_typer(models.app, name="models", rich_help_panel=STUDIES)
app.command("train", rich_help_panel=SINGLE)(step.train)
app.command("postprocess", rich_help_panel=SINGLE)(step.postprocess)
app.command("evaluate", rich_help_panel=SINGLE)(step.evaluate)
app.add_typer(metrics.app, name="metrics", rich_help_panel=SINGLE)
app.add_typer(data.app, name="data", rich_help_panel=KEEP)
app.add_typer(store.app, name="store", rich_help_panel=KEEP)
app.command("up", rich_help_panel=KEEP)(services.up)
app.command("down", rich_help_panel=KEEP)(services.down)
app.add_typer(about.schema_app, name="schema", rich_help_panel=KEEP)
app.command("version", rich_help_panel=KEEP)(about.version)
