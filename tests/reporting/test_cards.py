"""The report shows how each policy was asked and graded."""

from judgerlvr.reporting.cards import UNUSED, cards_table
from judgerlvr.reporting.page import render_page
from judgerlvr.reporting.runs import read_run
from judgerlvr.runs.policy_card import PolicyCard, write_card
from tests.helpers.run_folders import step_row, write_run_folder

CARD = PolicyCard(
    "judge", None, "<b>{{problem}} {{response}}", ("Yes", "No"), "strict", "my:own", False, 99, 1.0, "abc", "no"
)


def run_with(tmp_path, card):
    write_run_folder(tmp_path / "judge", "judge", [step_row()])
    if card:
        write_card(tmp_path / "judge", card)
    return read_run(tmp_path / "judge")


def test_a_card_is_shown_escaped_with_what_was_not_used(tmp_path):
    page = render_page([run_with(tmp_path, CARD)])
    for text in ("&lt;b&gt;{{problem}} {{response}}", "Yes, No", "my:own", "99", UNUSED):
        assert f">{text}<" in page


def test_a_run_of_an_older_version_has_no_card(tmp_path):
    assert [cell.text for cell in cards_table([run_with(tmp_path, None)]).rows[0][1:]] == ["not run"] * 6
