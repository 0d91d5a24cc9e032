"""A policy's name: free and writable at the start, checked again at the end."""

import pytest

from judgerlvr.pipeline.export import check_link, publish
from rewards.errors import InputError


@pytest.fixture
def policy(tmp_path):
    folder = tmp_path / "runs" / "a" / "checkpoints" / "global_step_1" / "policy"
    folder.mkdir(parents=True)
    return folder


def test_a_name_taken_since_the_start_is_left_alone(tmp_path, policy):
    link = tmp_path / "ckpt" / "judge"
    check_link(link, None)
    link.mkdir(parents=True)
    (link / "mine").touch()
    with pytest.raises(InputError, match="give another --out"):
        publish(link, policy, tmp_path / "runs" / "a")
    assert (link / "mine").exists()


def test_checking_a_name_leaves_nothing_behind(tmp_path):
    check_link(tmp_path / "new" / "folder" / "judge", None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_no_link_can_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="nothing can be made here"):
        check_link(tmp_path / "file" / "judge", None)


@pytest.mark.parametrize("sign", ["\n", "\x1b[31m", "\0", "\ud800"])
def test_a_name_with_control_characters_is_refused(tmp_path, sign):
    with pytest.raises(InputError, match="holds control characters") as caught:
        check_link(tmp_path / f"a{sign}b", None)
    assert sign not in str(caught.value)
