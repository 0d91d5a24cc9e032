"""Every damage of one kind to plain data: each part is left out, and replaced by each kind of junk."""

JUNK = (None, 1, "x", [], {}, [1], {"a": 1}, True)


def damaged(value):
    """The data with each part replaced by each junk in turn."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: part for name, part in value.items() if name != key}
            yield from ({**value, key: other} for other in (*JUNK, *damaged(inner)))
    elif isinstance(value, list) and value:
        yield from ([other, *value[1:]] for other in (*JUNK, *damaged(value[0])))
