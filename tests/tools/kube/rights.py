"""Who may do what in an installation: every verb on every kind of object, asked of the API server for each account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

NAMESPACE = "disentanglement"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
LEASE = "disentanglement-controller"

Rights = Mapping[str, frozenset[str]]


def _verbs(words: str) -> frozenset[str]:
    return frozenset(words.split())


ALLOWED: Mapping[str, Rights] = {
    "disentanglement-controller": {
        "disentanglement.dev/studies": _verbs("list watch"),
        "disentanglement.dev/studies/status": _verbs("patch"),
        "batch/jobs": _verbs("list watch create patch delete"),
        "/pods": _verbs("list"),
        "/events": _verbs("list create"),
        "/nodes": _verbs("list"),
        "coordination.k8s.io/leases": _verbs("create"),
        f"coordination.k8s.io/leases={LEASE}": _verbs("create get update"),
        "kueue.x-k8s.io/localqueues": _verbs("list"),
    },
    "disentanglement-aggregator": {
        "disentanglement.dev/studies": _verbs("create get list watch patch delete"),
    },
    "disentanglement-worker": {},
    "disentanglement-collector": {},
    "minio": {},
    "default": {},
}
"""All that is allowed; what is not here is forbidden."""

RESOURCES = (
    *dict.fromkeys(resource for rights in ALLOWED.values() for resource in rights),
    "/configmaps",
    "/namespaces",
    "/persistentvolumeclaims",
    "/pods/eviction",
    "/pods/exec",
    "/pods/log",
    "/secrets",
    "/serviceaccounts",
    "/serviceaccounts/token",
    "/services",
    "apps/deployments",
    "apps/statefulsets",
    "batch/cronjobs",
    "batch/jobs/status",
    "networking.k8s.io/networkpolicies",
    "rbac.authorization.k8s.io/rolebindings",
    "rbac.authorization.k8s.io/roles",
)


@dataclass(frozen=True)
class Question:
    """May this account do that?"""

    account: str
    verb: str
    resource: str
    """`group/resource[/subresource][=name]`."""
    namespace: str = NAMESPACE

    @property
    def expected(self) -> bool:
        """As the table says; nodes are in no namespace, and nothing is allowed in a foreign one."""
        allowed = self.verb in ALLOWED[self.account].get(self.resource, ())
        return allowed and (self.namespace == NAMESPACE or self.resource == "/nodes")

    def review(self) -> dict[str, Any]:
        """The question as an object that the API server answers."""
        path, _, name = self.resource.partition("=")
        group, resource, *subresource = path.split("/")
        attributes = {"group": group, "resource": resource, "subresource": "".join(subresource), "name": name}
        of = f"system:serviceaccounts:{NAMESPACE}"
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{NAMESPACE}:{self.account}",
                "groups": ["system:serviceaccounts", of, "system:authenticated"],
                "resourceAttributes": {**attributes, "namespace": self.namespace, "verb": self.verb},
            },
        }


def questions(accounts: Iterable[str] = ALLOWED) -> Iterator[Question]:
    """Of each account: every resource and verb in our namespace; and what is allowed there, in another one."""
    for account in accounts:
        for resource in RESOURCES:
            for verb in VERBS:
                yield Question(account, verb, resource)
        for resource, verbs in ALLOWED[account].items():
            for verb in sorted(verbs):
                yield Question(account, verb, resource, namespace="default")


def check_rights(kubectl: Callable[..., str], accounts: Iterable[str] = ALLOWED) -> int:
    """Asks everything at once; how much was asked.

    Raises:
        AssertionError: with every answer that is not the table's.
    """
    asked = list(questions(accounts))
    reviews = yaml.safe_dump_all([question.review() for question in asked])
    said = kubectl("create", "--output=jsonpath={.status.allowed}{'\\n'}", "-f", "-", input=reviews).splitlines()
    assert len(said) == len(asked), f"{len(asked)} questions and {len(said)} answers"
    wrong = [
        f"{question.account} {question.verb} {question.resource} in {question.namespace}: {answer}"
        for question, answer in zip(asked, said, strict=True)
        if (answer == "true") is not question.expected
    ]
    assert not wrong, "\n".join(wrong)
    return len(asked)
