"""Checks of a configuration and the policy's config.json. Neither weights nor data nor torch are needed.

A start, a dry run and ``python -m judgerlvr.plan`` make the same checks, and find the checks here.
"""

from __future__ import annotations

from pathlib import Path

from judgerlvr.models.limits import check_context, check_engine_context, check_hysparse, check_trainable
from judgerlvr.pipeline.checks import check_keys, check_start
from judgerlvr.pipeline.inputs import check_libraries
from judgerlvr.planning.load import load_of
from judgerlvr.runs.request import Request, make_stage


def check_policy(request: Request) -> None:
    """Check what the policy's config.json rules out.

    Raises:
        InputError: a context that is too short, quantised weights, or settings under which replay would fail.
    """
    config, data = request.config, request.config.judge.data
    check_context(request.init, config.max_prompt_tokens + config.longest_sampled(request.kind))
    if request.kind == "judge" and not data.responses and not data.sample_from:
        # The starting policy samples the candidates.
        check_context(request.init, config.max_prompt_tokens + config.generate.max_response_tokens)
    check_engine_context(request.init, config.cluster)
    check_trainable(request.init)
    check_hysparse(request.init, config.cluster, request.device)


def check_stage_settings(request: Request, cluster: bool = True) -> None:
    """Check names and values for verl, vLLM and transformers, and the stage's numbers against the cluster.

    Without ``cluster`` the numbers are left to the caller, who plans for other numbers of GPUs.

    Raises:
        InputError: what the engines or Ray would stumble over.
    """
    check_libraries(request)
    if cluster:
        check_start(request)
    else:
        prompts = load_of(request.kind, request.config).prompts
        check_keys(make_stage(request, Path(request.config.runs), prompts, reward_function=":"))
