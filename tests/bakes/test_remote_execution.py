"""What Remote Execution Agents get says the same as .env, in keys that the Helm chart knows, with no secret in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from tools.baking import Answers, Bake, name_of, product

BAKES = [answers for answers in product() if answers.get("remote_execution")]
every_bake = pytest.mark.parametrize("answers", BAKES, ids=map(name_of, BAKES))

# The keys of the chart, read from values files that Astronomer published; a set is a map that takes any key.
COMPONENT: dict[str, Any] = {"create": bool, "name": str, "annotations": set}
KNOWN: dict[str, Any] = {
    "agentTokenFile": str,
    "agentTokenSecretName": str,
    "annotations": set,
    "commonEnv": list,
    "createNamespace": bool,
    "dagBundleConfigList": str,
    "dagProcessor": dict,
    "image": str,
    "imagePullSecretName": str,
    "labels": set,
    "namespace": str,
    "resourceNamePrefix": str,
    "secretBackend": str,
    "sentinel": dict,
    "stateStoreBackend": str,
    "serviceAccount": {
        "annotations": set,
        **dict.fromkeys(("workers", "dagProcessor", "triggerer", "sentinel"), COMPONENT),
    },
    "triggerer": dict,
    "workers": list,
    "xcomBackend": str,
}
# Known to the chart too, but they would hold a secret: agentToken, imagePullSecretData.
IDENTITY = {
    "aws": ({}, {"eks.amazonaws.com/role-arn": r"arn:aws:iam::\S+:role/\S+"}),
    "gcp": ({}, {"iam.gke.io/gcp-service-account": r"\S+@\S+\.iam\.gserviceaccount\.com"}),
    "azure": ({"azure.workload.identity/use": "true"}, {"azure.workload.identity/client-id": r"\S+"}),
}
SECRET = re.compile(
    r"secret_?access|passw|account_?key|keyfile|private_key|sas_token|connection_string|AccountKey|client_secret|\blogin",
    re.IGNORECASE,
)


def values_of(project: Path) -> dict[str, Any]:
    """Return the Helm values of a bake."""
    return dict(yaml.safe_load((project / "remote-execution" / "values.yaml").read_text()))


def environment_of(values: dict[str, Any]) -> dict[str, str]:
    """Return the environment that the values give to all agents, after looking that no variable is there twice."""
    pairs = [(entry["name"], entry["value"]) for entry in values["commonEnv"]]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def unknown(values: dict[str, Any], known: dict[str, Any], path: str = "") -> list[str]:
    """Return each key that the chart does not know, and each value of another type than it takes."""
    wrong = []
    for name, value in values.items():
        kind = known.get(name)
        if isinstance(kind, dict) and isinstance(value, dict):
            wrong += unknown(value, kind, f"{path}{name}.")
        elif kind is set:
            wrong += [f"{path}{name}.{key}" for key, text in value.items() if not isinstance(text, str)]
        elif not isinstance(kind, type) or not isinstance(value, kind):
            wrong.append(f"{path}{name}")
    return wrong


@every_bake
def test_the_chart_knows_every_key_and_its_type(answers: Answers, bake: Bake) -> None:
    assert unknown(values_of(bake(**answers)), KNOWN) == []


def test_a_key_that_the_chart_does_not_know_is_found() -> None:
    wrong: dict[str, Any] = {"podLabels": {}, "labels": {"use": True}, "serviceAccount": {"workers": {"nam": "x"}}}
    wrong["image"] = 1
    assert unknown(wrong, KNOWN) == ["podLabels", "labels.use", "serviceAccount.workers.nam", "image"]


@every_bake
def test_every_variable_is_text_and_all_but_the_threshold_is_as_in_the_env_file(answers: Answers, bake: Bake) -> None:
    project = bake(**answers)
    values = values_of(project)
    agents = environment_of(values)
    assert all(isinstance(value, str) for value in agents.values())
    env = dotenv_values(project / ".env")
    assert values["xcomBackend"] == env.pop("AIRFLOW__CORE__XCOM_BACKEND")
    threshold = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
    assert agents.pop(threshold) == "0"
    assert env.pop(threshold) == "1000"
    # Beside the XComs, and with the same connection.
    state = agents.pop("AIRFLOW__COMMON_IO__STATE_STORE_OBJECTSTORAGE_PATH")
    assert state.rpartition("/")[0] == agents["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"].rpartition("/")[0]
    # References are kept at Astro, so they say nothing of the value; the provider's are paths.
    assert agents.pop("AIRFLOW__XCOM_BACKEND__SUMMARY", None) == ("false" if "custom" in answers.values() else None)
    settings = {name: value for name, value in env.items() if name.startswith("AIRFLOW__")}
    assert {name: value for name, value in agents.items() if name.startswith("AIRFLOW__")} == settings
    connections = {name for name in env if name.startswith("AIRFLOW_CONN_")}
    assert {name for name in agents if name.startswith("AIRFLOW_CONN_")} == connections
    assert set(agents) == {*settings, *connections}


@every_bake
def test_no_secret_is_in_what_agents_get(answers: Answers, bake: Bake) -> None:
    project = bake(**answers)
    for path in ("remote-execution/values.yaml", "Dockerfile.client", "requirements-client.txt"):
        lines = [line for line in (project / path).read_text().splitlines() if not line.lstrip().startswith("#")]
        assert not SECRET.search("\n".join(lines)), path
    values = values_of(project)
    assert not {"agentToken", "imagePullSecretData"} & set(values)
    assert values["agentTokenSecretName"]
    assert values["imagePullSecretName"]
    for name, value in environment_of(values).items():
        if name.startswith("AIRFLOW_CONN_"):
            connection = json.loads(value)
            assert set(connection) == {"conn_type", "extra"}
            assert set(connection["extra"]) <= {"region_name", "project", "account_name", "anon"}


def test_the_list_of_secret_words_knows_the_connections_of_the_env_file(bake: Bake) -> None:
    for cloud in IDENTITY:
        assert SECRET.search((bake(cloud=cloud) / ".env.example").read_text())


@every_bake
def test_who_the_agents_are_says_a_workload_identity(answers: Answers, bake: Bake) -> None:
    values = values_of(bake(**answers))
    labels, annotations = IDENTITY[answers["cloud"]]
    assert values["labels"] == labels
    assert list(values["annotations"]) == list(annotations)
    for name, pattern in annotations.items():
        assert re.fullmatch(pattern, values["annotations"][name])
        assert "PASTE-" in values["annotations"][name]


@every_bake
def test_the_agents_image_has_the_packages_and_the_class(answers: Answers, bake: Bake) -> None:
    project = bake(**answers)
    pins = [read_pins(project / name) for name in ("requirements.txt", "requirements-client.txt")]
    assert pins[0] == pins[1]
    assert pins[0]
    dockerfile = (project / "Dockerfile.client").read_text()
    (folder,) = re.findall(r"^COPY include (\S+)/include$", dockerfile, re.MULTILINE)
    assert re.search(rf"^ENV PYTHONPATH={folder}(\$|$)", dockerfile, re.MULTILINE)
    values = values_of(project)
    assert "PYTHONPATH" not in environment_of(values), "it would take the place of the image's"
    (bundle,) = json.loads(values["dagBundleConfigList"])
    assert f"\nCOPY dags {bundle['kwargs']['path']}\n" in dockerfile
    module, _, _ = values["xcomBackend"].rpartition(".")
    if module.startswith("include."):
        path = project.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@every_bake
def test_the_steps_name_what_the_values_name(answers: Answers, bake: Bake) -> None:
    project = bake(**answers)
    values, steps = values_of(project), (project / "remote-execution" / "README.md").read_text()
    account = values["serviceAccount"]["workers"]["name"]
    assert values["serviceAccount"]["triggerer"]["name"] == account
    namespace = f"kubectl --namespace {values['namespace']}"
    assert f"kubectl create namespace {values['namespace']}\n" in steps
    assert f"{namespace} create serviceaccount {account}\n" in steps
    for name, value in values["annotations"].items():
        assert f"{namespace} annotate serviceaccount {account} '{name}={value}'\n" in steps
    assert f"{namespace} create secret generic {values['agentTokenSecretName']} --from-file=token=" in steps
    assert f"{namespace} create secret docker-registry {values['imagePullSecretName']} " in steps


def read_pins(file: Path) -> list[str]:
    """Return each line of a requirements file that is no comment."""
    return [line for line in file.read_text().splitlines() if not line.startswith("#")]
