"""What a network plugin would make of NetworkPolicies: who reaches whom. Only what our policies use is understood."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Literal

from manifests import Item, matches, of_kind

NAME = "app.kubernetes.io/name"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as policies see it; without a namespace an address outside the cluster."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    address: str = "10.0.0.1"

    @property
    def is_outside(self) -> bool:
        """Whether it is no pod."""
        return not self.namespace


def is_allowed(items: Iterable[Item], source: Pod, target: Pod, port: int, protocol: str = "TCP") -> bool:
    """Whether the source may leave for, and the target may be entered by, this connection."""
    policies = of_kind(items, "NetworkPolicy")
    leaves = source.is_outside or _passes(policies, "Egress", source, target, (target, port, protocol))
    return leaves and (target.is_outside or _passes(policies, "Ingress", target, source, (target, port, protocol)))


def _passes(
    policies: Iterable[Item],
    direction: Literal["Ingress", "Egress"],
    guarded: Pod,
    peer: Pod,
    where: tuple[Pod, int, str],
) -> bool:
    own = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == guarded.namespace
        and matches(policy["spec"]["podSelector"], guarded.labels)
        and direction in policy["spec"]["policyTypes"]
    ]
    peers, rules = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
    return not own or any(
        _fits_port(rule, where) and _fits_peer(rule.get(peers), peer, guarded.namespace)
        for spec in own
        for rule in spec.get(rules, ())
    )


def _fits_port(rule: Item, where: tuple[Pod, int, str]) -> bool:
    target, port, protocol = where
    return "ports" not in rule or any(
        entry["protocol"] == protocol and target.ports.get(entry["port"], entry["port"]) == port
        for entry in rule["ports"]
    )


def _fits_peer(peers: Iterable[Item] | None, peer: Pod, namespace: str) -> bool:
    return peers is None or any(_is_peer(entry, peer, namespace) for entry in peers)


def _is_peer(entry: Item, peer: Pod, namespace: str) -> bool:
    if "ipBlock" in entry:
        address = ip_address(peer.address)
        excluded = any(address in ip_network(block) for block in entry["ipBlock"].get("except", ()))
        return address in ip_network(entry["ipBlock"]["cidr"]) and not excluded
    if peer.is_outside:
        return False
    if "namespaceSelector" in entry:
        in_namespace = matches(entry["namespaceSelector"], peer.namespace_labels)
    else:
        in_namespace = peer.namespace == namespace
    return in_namespace and matches(entry.get("podSelector", {}), peer.labels)
