"""Every reach into what verl 0.9.1 and vLLM 0.31/0.24 do not promise to keep. Nothing private is used elsewhere.

``tests/engine/test_private.py`` fails when a name moves. ``preflight`` refuses other versions. The
modules import verl and vLLM late, so that the plugin stays light in processes that need none of them.
"""

VERL_VERSION = "0.9.1"
VLLM_VERSIONS = {"cpu": "0.31.0", "gpu": "0.24.0"}
