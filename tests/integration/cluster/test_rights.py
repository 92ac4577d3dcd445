"""What the accounts may do, asked of a real API server: exactly the table in `kube.rights`."""

from __future__ import annotations

import pytest
from kube.control_plane import ControlPlane
from kube.rights import check_rights


def test_every_verb_of_every_account_is_as_the_table_says(plane: ControlPlane) -> None:
    assert check_rights(plane.kubectl) > 1000


def test_a_right_too_many_is_found(plane: ControlPlane) -> None:
    binding = ("rolebinding", "too-much", "--namespace=disentanglement")
    account = "--serviceaccount=disentanglement:disentanglement-worker"
    plane.kubectl("create", *binding, "--clusterrole=view", account)
    try:
        with pytest.raises(AssertionError, match="disentanglement-worker get /configmaps"):
            check_rights(plane.kubectl, ["disentanglement-worker"])
    finally:
        plane.kubectl("delete", *binding)
