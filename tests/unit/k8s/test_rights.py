"""Who may do what: the whole table, so that a right that is added has to be added here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from manifests import Item, named, of_kind

Items = list[dict[str, Any]]
Rights = dict[str, set[str]]

CONTROLLER: Rights = {
    "disentanglement.dev/studies": {"list", "watch"},
    "disentanglement.dev/studies/status": {"patch"},
    "batch/jobs": {"list", "watch", "create", "patch", "delete"},
    "/pods": {"list"},
    "/events": {"list", "create"},
    "kueue.x-k8s.io/localqueues": {"list"},
}
LEADERSHIP: Rights = {
    "coordination.k8s.io/leases": {"create"},
    "coordination.k8s.io/leases=disentanglement-controller": {"get", "update"},
}
AGGREGATOR: Rights = {"disentanglement.dev/studies": {"create", "get", "list", "watch", "patch", "delete"}}


def rights_of(items: Items, account: str, kinds: tuple[str, str]) -> Rights:
    """What the bindings of a kind give to an account of ours."""
    binding_kind, scope = kinds
    found: Rights = {}
    for binding in of_kind(items, binding_kind):
        subjects = [(s["kind"], s["namespace"], s["name"]) for s in binding["subjects"]]
        if ("ServiceAccount", "disentanglement", account) in subjects:
            role = binding["roleRef"]
            assert scope in ("any", role["kind"])
            for resource, verbs in rules_of(named(items, role["kind"], role["name"])).items():
                found.setdefault(resource, set()).update(verbs)
    return found


def rules_of(role: Item) -> Rights:
    found: Rights = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                names = [f"={name}" for name in rule.get("resourceNames", ())] or [""]
                for name in names:
                    found.setdefault(f"{group}/{resource}{name}", set()).update(rule["verbs"])
    return found


def test_the_controller_may_do_what_it_does_and_no_more(stack: Items) -> None:
    account = "disentanglement-controller"
    assert rights_of(stack, account, ("RoleBinding", "any")) == CONTROLLER | LEADERSHIP
    assert rights_of(stack, account, ("ClusterRoleBinding", "ClusterRole")) == {"/nodes": {"list"}}


def test_the_aggregator_and_the_trainer_may_handle_studies_alone(stack: Items) -> None:
    account = "disentanglement-aggregator"
    assert rights_of(stack, account, ("RoleBinding", "any")) == AGGREGATOR
    assert rights_of(stack, account, ("ClusterRoleBinding", "any")) == {}


def test_workers_the_collector_and_minio_have_no_right_at_all(items: Items) -> None:
    for account in ("disentanglement-worker", "disentanglement-collector", "minio", "default"):
        for kind in ("RoleBinding", "ClusterRoleBinding"):
            assert rights_of(items, account, (kind, "any")) == {}


def test_a_launcher_may_handle_jobs_of_its_namespace_and_no_study(rendered: Callable[[str], Items]) -> None:
    items = rendered("namespace with a launcher")
    (binding,) = (b for b in of_kind(items, "RoleBinding") if b["roleRef"]["kind"] == "Role")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "disentanglement-launcher", "namespace": binding["metadata"]["namespace"]}
    ]
    assert rules_of(named(items, "Role", binding["roleRef"]["name"])) == {
        "batch/jobs": {"list", "watch", "create", "patch", "delete"},
        "/pods": {"get", "list"},
        "/events": {"list"},
    }


def test_no_account_has_its_token_mounted_by_itself(items: Items) -> None:
    accounts = of_kind(items, "ServiceAccount")
    assert accounts
    assert all(account["automountServiceAccountToken"] is False for account in accounts)


def test_rights_name_each_verb_and_never_a_secret(items: Items) -> None:
    for role in of_kind(items, "Role", "ClusterRole"):
        for resource, verbs in rules_of(role).items():
            assert "*" not in resource, role["metadata"]["name"]
            assert "*" not in verbs, role["metadata"]["name"]
            assert not {"escalate", "bind", "impersonate", "deletecollection"} & verbs, role["metadata"]["name"]
            assert not resource.startswith(("/secrets", "/serviceaccounts", "/pods/exec")), role["metadata"]["name"]


def test_a_binding_speaks_of_a_role_and_an_account_that_are_there(stack: Items) -> None:
    accounts = {item["metadata"]["name"] for item in of_kind(stack, "ServiceAccount")}
    for binding in of_kind(stack, "RoleBinding", "ClusterRoleBinding"):
        assert named(stack, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        assert {subject["name"] for subject in binding["subjects"]} <= accounts


def test_a_further_namespace_gives_the_same_rights_there(items: Items, stack: Items) -> None:
    roles = {item["roleRef"]["name"] for item in of_kind(items, "RoleBinding")}
    assert {"disentanglement-controller", "disentanglement-aggregator"} <= roles
    for name in ("disentanglement-controller", "disentanglement-aggregator"):
        assert named(stack, "ClusterRole", name)


def test_people_who_may_edit_a_namespace_may_edit_its_studies(stack: Items) -> None:
    editor = named(stack, "ClusterRole", "disentanglement-study-editor")
    assert editor["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert rules_of(editor)["disentanglement.dev/studies"] >= {"create", "get", "list", "watch", "patch", "delete"}
    viewer = rules_of(named(stack, "ClusterRole", "disentanglement-study-viewer"))
    assert all(verbs <= {"get", "list", "watch"} for verbs in viewer.values())
    for role in (editor, named(stack, "ClusterRole", "disentanglement-study-viewer")):
        assert "patch" not in rules_of(role).get("disentanglement.dev/studies/status", set())
