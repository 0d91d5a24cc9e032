"""Which training engines verl knows by a vendor's name."""

from __future__ import annotations


def known_vendors() -> set[str]:
    """Vendors that verl or a plugin of the user registered engines for, and this machine's own.

    verl has no call for the first, and takes its engine without a vendor, silently, for any other name.
    """
    from verl.utils.device import get_vendor
    from verl.workers.engine import EngineRegistry

    backends = [engines for found in EngineRegistry._engines.values() for engines in found.values()]
    keys = [key for engines in backends for key in engines]
    return {get_vendor(), *(key[1] for key in keys if isinstance(key, tuple))}
