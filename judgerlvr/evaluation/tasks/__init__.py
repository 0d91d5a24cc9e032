"""The ten benchmark tasks by name, in the order of the table. Items of a benchmark are never part of this package."""

from judgerlvr.evaluation.tasks.aime24 import AIME24
from judgerlvr.evaluation.tasks.aime25 import AIME25
from judgerlvr.evaluation.tasks.beyond_aime import BEYOND_AIME
from judgerlvr.evaluation.tasks.gpqa_diamond import GPQA_DIAMOND
from judgerlvr.evaluation.tasks.hmmt_feb_2025 import HMMT_FEB_2025
from judgerlvr.evaluation.tasks.ifeval import IFEVAL
from judgerlvr.evaluation.tasks.livecodebench_v6 import LIVECODEBENCH_V6
from judgerlvr.evaluation.tasks.math500 import MATH500
from judgerlvr.evaluation.tasks.mmlu_redux import MMLU_REDUX
from judgerlvr.evaluation.tasks.task import Task
from judgerlvr.evaluation.tasks.zebralogic import ZEBRALOGIC

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        AIME24,
        AIME25,
        MATH500,
        HMMT_FEB_2025,
        BEYOND_AIME,
        GPQA_DIAMOND,
        IFEVAL,
        LIVECODEBENCH_V6,
        MMLU_REDUX,
        ZEBRALOGIC,
    )
}
