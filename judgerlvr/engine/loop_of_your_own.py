"""An agent loop of your own (``STAGE.agent_loop``): verl's public way to let an environment or a tool write tokens.

The class extends the product's loop, so that samples keep their seeds and truncated responses their mask.
"""

from __future__ import annotations

import importlib
import os

from judgerlvr.config.schema import StageSettings
from judgerlvr.engine.devices import stage_environment
from judgerlvr.engine.flowing import flows
from judgerlvr.runs.stage import Stage
from rewards.errors import InputError, reading

# Names of the loops in verl's registry: the stage's own, and the one of problems that a judge also solves.
LOOP, SOLVING_LOOP = "judgerlvr", "judgerlvr_solving"
OURS = "judgerlvr.engine.in_training.agent_loop:SeededSingleTurn"


def loop_target(settings: StageSettings) -> str:
    """The class of a stage's agent loop, as verl's registry names a class."""
    return (settings.agent_loop or OURS).replace(":", ".")


def check_agent_loop(stage: Stage) -> None:
    """Check the agent loops that a configuration names. verl is imported only where one is named.

    A judge that also solves does so by the loop of stage 2.

    Raises:
        InputError: a module that cannot be imported, a class that does not extend the product's loop, or a stage whose
            responses must be one request.
    """
    _check_loop(stage, stage.settings.agent_loop, f"{stage.kind}.agent_loop")
    if stage.solves:
        _check_loop(stage, stage.config.generate.agent_loop, "generate.agent_loop")


def _check_loop(stage: Stage, path: str, field: str) -> None:
    if not path:
        return
    for one_request, why in {
        "responses that an update interrupts": flows(stage),
        "HySparse policies, whose rollouts carry blocks": stage.chooses_blocks,
        "router replay": stage.replays_experts,
    }.items():
        if why:
            raise InputError(f"{path} does not go with {one_request}", "leave one of both out", field=field)
    # verl settles the platform at verl's first import.
    os.environ.update(stage_environment(stage))
    found, ours = _named(path, field), _named(OURS, field)
    if not (isinstance(found, type) and issubclass(found, ours)):
        raise InputError(f"{path} does not extend {ours.__name__}", f"make it a subclass of {OURS}", field=field)


def _named(path: str, field: str) -> type:
    module_name, _, name = path.partition(":")
    problem, remedy = f"module {module_name!r} cannot be imported", "check the name, PYTHONPATH and the module"
    try:
        with reading(problem, remedy, field=field):
            module = importlib.import_module(module_name)
    except SystemExit as error:  # a script without a guard would end the command, and say that all is well
        ended = f"module {module_name!r} ends the process when it is imported"
        raise InputError(ended, "guard its script part by __name__", field=field) from error
    if not hasattr(module, name):
        raise InputError(f"{module_name!r} has no class {name!r}", "name one that it defines", field=field)
    found: type = getattr(module, name)
    return found
