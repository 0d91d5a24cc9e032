"""Prompts of the tasks. The prompts are ours, and a report prints them."""

MATHS = """{{problem}}

Reason step by step, and put your final answer within \\boxed{}."""

CHOICE = """{{problem}}

Reason step by step, and put the letter of the right option within \\boxed{}, such as \\boxed{A}."""

AS_IT_IS = "{{problem}}"
