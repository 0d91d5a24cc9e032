"""The facts of the tasks as the Markdown table of docs/benchmarks.md."""

from judgerlvr.evaluation.tasks import TASKS


def fact_table() -> str:
    """One row a task. A test compares the page with this table."""
    lines = ["| task | domain | n | repository and revision | rows | licence | not verified |", "| --- " * 7 + "|"]
    for task in TASKS.values():
        source = task.source
        place = f"{source.repository} {source.revision[:12] or 'unpinned'}"
        licence = task.licence + (", gated" if task.gated else "")
        facts = ", ".join(task.missing_facts) or "-"
        cells = (f"`{task.name}`", task.domain, task.n, place, source.rows, licence, facts)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
