"""What an admin edits, and that it arrives everywhere."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import K8S, compose, named, of_kind, pod_templates, render
from typer.testing import CliRunner

from disentanglement.cli.app import app
from disentanglement.cluster.settings import ControllerSettings
from disentanglement.rpc.server import add_listen_options
from disentanglement.services.aggregator.controlling import COMMANDS
from disentanglement.services.aggregator.settings import AggregatorSettings
from disentanglement.services.evaluator.settings import EvaluatorSettings
from disentanglement.services.postprocessor.settings import PostprocessorSettings
from disentanglement.services.trainer.settings import TrainerSettings
from disentanglement.storage.settings import S3Settings

Items = list[dict[str, Any]]
IMAGES = ("TRAINER", "POSTPROCESSOR", "EVALUATOR", "AGGREGATOR", "MINIO")


def config(items: Items, name: str) -> Mapping[str, str]:
    """The data of a ConfigMap."""
    data: Mapping[str, str] = named(items, "ConfigMap", name)["data"]
    return data


def test_images_have_the_version_of_the_project() -> None:
    project = tomllib.loads((K8S.parent / "pyproject.toml").read_text())["project"]
    for path in (K8S / "base/config/images.env", K8S / "overlays/cluster/settings/images.env"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert all(line.endswith(f":{project['version']}") for line in lines), path


def test_every_image_is_one_of_the_image_list(stack: Items) -> None:
    listed = {config(stack, "worker-images")[f"DISENTANGLEMENT_{name}_IMAGE"] for name in IMAGES}
    used = {container["image"] for pod in pod_templates(stack) for container in pod.containers}
    assert used <= listed


def test_an_image_that_is_changed_in_the_list_is_changed_everywhere(kubectl_program: Path, tmp_path: Path) -> None:
    own = tmp_path / "images"
    own.mkdir()
    literals = [f"DISENTANGLEMENT_{name}_IMAGE=registry.example.com/{name.lower()}:7.7.7" for name in IMAGES]
    generator = {"name": "worker-images", "namespace": "disentanglement", "behavior": "merge", "literals": literals}
    text = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "generatorOptions": {"disableNameSuffixHash": True},
        "configMapGenerator": [generator],
    }
    (own / "kustomization.yaml").write_text(yaml.safe_dump(text))
    overlay = compose(tmp_path / "overlay", resources=["overlays/local"], components=["components/images"])
    written = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    written["components"].insert(0, "../images")
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(written))
    images = {c["image"] for pod in pod_templates(render(kubectl_program, overlay)) for c in pod.containers}
    assert images == {f"registry.example.com/{name.lower()}:7.7.7" for name in IMAGES}


def test_services_understand_their_settings(stack: Items) -> None:
    env = config(stack, "disentanglement-services")
    aggregator = AggregatorSettings.from_env(env)
    services = {item["metadata"]["name"]: item["spec"]["ports"][0]["port"] for item in of_kind(stack, "Service")}
    assert {f"{name}:{port}" for name, port in services.items() if name not in ("aggregator", "minio")} == {
        *aggregator.targets.values()
    }
    assert aggregator.workers == {
        "train": TrainerSettings.from_env(env).workers,
        "postprocess": PostprocessorSettings.from_env(env).workers,
        "evaluate": EvaluatorSettings.from_env(env).workers,
    }


def test_the_controller_understands_its_settings(stack: Items) -> None:
    env = {**config(stack, "disentanglement-store"), **config(stack, "disentanglement-controller")}
    settings = ControllerSettings.from_env({**env, "POD_NAME": "controller-0"})
    assert settings.namespaces == ()
    assert settings.store.startswith("s3://")


def test_the_address_of_the_store_is_understood(items: Items) -> None:
    env = config(items, "disentanglement-store")
    settings = S3Settings.from_url(env["DISENTANGLEMENT_STORE"], env)
    assert settings.check_conditional_put
    assert settings.path_style is (settings.endpoint.startswith("minio."))


def test_a_token_is_sent_in_clear_only_where_that_is_said(
    stack: Items, rendered: Callable[[str], Items], request: pytest.FixtureRequest
) -> None:
    with_tls = "TLS" in request.node.callspec.params["stack"]
    env = config(stack, "disentanglement-services")
    assert env.get("DISENTANGLEMENT_INSECURE_CHANNEL") == (None if with_tls else "1")
    assert env.get("DISENTANGLEMENT_TLS_CA") == ("/etc/disentanglement-tls/ca.crt" if with_tls else None)
    for name in ("aggregator", "trainer", "postprocessor", "evaluator"):
        spec = named(stack, "Deployment", name)["spec"]["template"]["spec"]
        options = {argument.partition("=")[0] for argument in spec["containers"][0]["args"]}
        assert ("--insecure-listen" in options) is not with_tls
        assert ({"--tls-cert", "--tls-key"} <= options) is with_tls
        assert any("secret" in volume for volume in spec["volumes"]) is with_tls


def test_studies_are_created_in_the_cluster_by_the_aggregator_and_the_trainer(stack: Items) -> None:
    says = {
        pod.owner["metadata"]["name"]
        for pod in pod_templates(stack)
        if {"name": "DISENTANGLEMENT_CLUSTER", "value": "1"} in pod.spec["containers"][0].get("env", ())
    }
    assert says == {"aggregator", "trainer"}


def test_a_cluster_is_given_no_secret_by_us(rendered: Callable[[str], Items]) -> None:
    assert of_kind(rendered("overlays/cluster"), "Secret") == []
    assert of_kind(rendered("namespace"), "Secret") == []


def test_the_credentials_of_a_trial_say_that_they_are_no_secrets() -> None:
    files = sorted((K8S / "overlays/local/settings/trial-credentials").iterdir())
    assert len(files) == 5
    for path in files:
        comment, *lines = path.read_text().splitlines()
        assert "These are no secrets" in comment, path
        assert all(line.partition("=")[2].startswith("trial-") for line in lines), path


def test_configuration_has_the_names_that_jobs_and_people_use(items: Items) -> None:
    names = {item["metadata"]["name"] for item in of_kind(items, "ConfigMap", "Secret")}
    assert "disentanglement-store" in names  # no suffix with a hash
    assert names <= {
        *("worker-images", "worker-pools", "disentanglement-services", "disentanglement-controller"),
        *(f"disentanglement-{name}" for name in ("store", "token")),
        *(f"disentanglement-store-{name}" for name in ("worker", "controller", "collector")),
        *("minio-root", "minio-set-up", "launch-small"),
    }


def test_who_names_an_overlay_and_forgets_the_images_gets_no_pod_without_a_version(kubectl_program: Path) -> None:
    """In `base` alone images have no tag: an overlay that lacks components/images fails the test of pinned tags."""
    images = {c["image"] for pod in pod_templates(render(kubectl_program, K8S / "base")) for c in pod.containers}
    assert not any(":" in image for image in images)


def test_programs_understand_the_options_that_they_are_given(stack: Items) -> None:
    """The images begin with the program; a manifest says what it does."""
    serving, controlling = argparse.ArgumentParser(), argparse.ArgumentParser()
    add_listen_options(serving)
    (control,) = (command for command in COMMANDS if command.name == "control")
    control.add_options(controlling)
    services = {item["metadata"]["name"]: item["spec"]["ports"][0]["port"] for item in of_kind(stack, "Service")}
    for deployment in of_kind(stack, "Deployment"):
        name = deployment["metadata"]["name"]
        command, *options = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        if name == "controller":
            assert (command, controlling.parse_args(options).health_listen) == ("control", "0.0.0.0:8086")
        else:
            given = serving.parse_args(options)
            assert (command, given.listen) == ("serve", f"0.0.0.0:{services[name]}")
            assert given.insecure_listen or (given.tls_cert and given.tls_key)


def test_the_collector_is_a_command_that_there_is(stack: Items, tmp_path: Path) -> None:
    spec = named(stack, "CronJob", "collector")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    program, *words = spec["containers"][0]["command"]
    done = CliRunner().invoke(app, words, env={"DISENTANGLEMENT_STORE": str(tmp_path / "store")})
    assert (program, done.exit_code) == ("disentangle", 0), done.output
