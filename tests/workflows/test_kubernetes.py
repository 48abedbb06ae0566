"""Manifests against the schemas of Kubernetes and of Dask's operator; no cluster runs here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import dask
import jsonschema
import pytest
import typer
import yaml
from distributed.cli import dask_scheduler, dask_worker
from jsonschema.validators import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from pipeline.cli.__main__ import app
from pipeline.errors import ConfigError
from pipeline.executors.tls import security_for
from tests.workflows.environments import ROOT, environment

pytestmark = pytest.mark.slow  # it fetches and unpacks, once
FOLDER = ROOT / "workflows" / "kubernetes"
DOCUMENTS: dict[str, dict[str, Any]] = {
    f"{path.stem}-{document['kind']}": document
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text("utf-8"))
}
VERSIONS = ("1.30.0", "1.37.0")


def _packages() -> Path:
    (found,) = (environment("kubernetes").parent / "lib").glob("python*/site-packages")
    return found


def _closed(schema: Any) -> Any:
    """Return a schema that refuses fields which it does not name; the server would drop them."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and "type" in found:
        found.setdefault("additionalProperties", False)
    return found


@cache
def _of_the_operator() -> Draft202012Validator:
    """Return what checks a DaskCluster, by the operator's own definition."""
    crds = _packages() / "dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator/crds"
    definition = yaml.load((crds / "daskcluster.yaml").read_text("utf-8"), yaml.CSafeLoader)
    schema = _closed(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    # Every object has them, so that definitions leave them out.
    schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    return Draft202012Validator(schema)


@cache
def _of_kubernetes(kind: str, api: str, version: str) -> Draft202012Validator:
    folder = _packages() / f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict"
    group, _, number = api.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], number) if part)
    schema = json.loads((folder / f"{name}.json").read_text("utf-8"))
    shared = json.loads((folder / "_definitions.json").read_text("utf-8"))
    resource = Resource.from_contents(shared, default_specification=DRAFT202012)
    return Draft202012Validator(
        schema, registry=Registry().with_resource("_definitions.json", resource)
    )


def _check(document: dict[str, Any]) -> None:
    if document["kind"] == "DaskCluster":
        _of_the_operator().validate(document)
        return
    for version in VERSIONS:
        _of_kubernetes(document["kind"], document["apiVersion"], version).validate(document)


def _found(value: Any, key: str) -> Iterator[Any]:
    """Yield what stands under a key, anywhere."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        for one in value.values():
            yield from _found(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from _found(one, key)


def _containers() -> dict[str, dict[str, Any]]:
    return {
        f"{document['kind']}-{container['name']}": container
        for document in DOCUMENTS.values()
        for (container,) in _found(document, "containers")
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_manifest_keeps_to_its_schema(name: str) -> None:
    _check(DOCUMENTS[name])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_slip_in_a_manifest_would_be_seen(name: str) -> None:
    for spoil in ("misspelt", "another type"):
        spoilt = deepcopy(DOCUMENTS[name])
        inner = next(_found(spoilt, "containers"), [spoilt["spec"]])[0]
        if spoil == "misspelt":
            inner["imagee"] = "overtile"
        else:
            inner["volumeMounts" if "image" in inner else "podSelector"] = "data"
            inner["accessModes"] = "ReadWriteMany"
        with pytest.raises(jsonschema.ValidationError):
            _check(spoilt)


def test_containers_are_told_what_their_programs_take() -> None:
    containers = _containers()
    assert len({one["image"] for one in containers.values()}) == 1
    for name, parser in (("scheduler", dask_scheduler.main), ("worker", dask_worker.main)):
        program, role, *arguments = containers[f"DaskCluster-{name}"]["args"]
        assert (program, role) == ("dask", name)
        given = parser.make_context(name, arguments).params
        assert (given["dashboard"], given["dashboard_address"]) == (False, "127.0.0.1:0")
    for kind in ("Job", "CronJob"):
        program, *arguments = containers[f"{kind}-overtile"]["args"]
        assert program == "overtile"
        command = typer.main.get_command(app)
        while isinstance(command, typer.core.TyperGroup):
            command = command.commands[arguments.pop(0)]
        command.make_context("overtile", arguments)


def test_every_pod_proves_itself_and_speaks_to_the_service_that_there_is() -> None:
    containers = _containers()
    cluster = DOCUMENTS["cluster-DaskCluster"]
    (port,) = cluster["spec"]["scheduler"]["service"]["ports"]
    address = f"tls://{cluster['metadata']['name']}-scheduler:{port['port']}"
    assert address in containers["DaskCluster-worker"]["args"]
    assert address in containers["Job-overtile"]["args"]
    assert f'executor: "{address}"' in (FOLDER / "region.yaml").read_text("utf-8")
    with dask.config.set({"distributed.comm.tls": {}}), pytest.raises(ConfigError) as refused:
        security_for(address)
    for name, container in containers.items():
        role = name.rpartition("-")[2].replace("overtile", "client").upper()
        given = {one["name"]: one.get("value", "") for one in container["env"]}
        files = {key: path for key, path in given.items() if "__TLS__" in key}
        assert files == {
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": "/tls/ca.pem",
            f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT": "/tls/node.pem",
            f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY": "/tls/node.key",
        }
        assert role != "CLIENT" or all(key in str(refused.value) for key in files)


def test_pods_are_reached_by_overtiles_alone() -> None:
    policy = DOCUMENTS["cluster-NetworkPolicy"]["spec"]
    assert policy["ingress"] == [{"from": [{"podSelector": policy["podSelector"]}]}]
    others = [one for one in DOCUMENTS.values() if any(_found(one, "containers"))]
    labels = [label for one in others for label in _found(one["spec"], "labels")]
    assert labels == [policy["podSelector"]["matchLabels"]] * 4


def test_the_region_runs_when_the_example_says() -> None:
    example = yaml.safe_load((ROOT / "configs" / "regions" / "example.yaml").read_text("utf-8"))
    cron = DOCUMENTS["region-CronJob"]["spec"]
    assert example["schedule"] == {"cron": cron["schedule"], "timezone": cron["timeZone"]}
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["jobTemplate"]["spec"]["backoffLimit"] == 0
