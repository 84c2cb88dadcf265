"""The CRD compared with ACK's fields, the API model and its own conventions, without an API server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from codegen.__main__ import main
from codegen.model import object_name, read_model
from tests.crds.installation import OURS, REPOSITORY
from tests.crds.paths import listed, value_at
from trainingjob_operator.logic.naming import MAX_USER_TAGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from codegen.model import Field

SCHEMA: dict[str, Any] = yaml.safe_load(OURS.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
TYPES = listed(SCHEMA)
LISTINGS = ("ack-crd-paths.txt", "ack-reference-paths.txt")
ACK_LINES = sorted({line for name in LISTINGS for line in (REPOSITORY / "tests/data" / name).read_text().splitlines()})


def required(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The paths of every required field below a schema."""
    yield from (f"{path}.{name}" for name in schema.get("required", ()))
    for name, part in schema.get("properties", {}).items():
        yield from required(part, f"{path}.{name}")
    if "items" in schema:
        yield from required(schema["items"], f"{path}[]")


def keywords(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every keyword of every schema below this one, with its path."""
    yield from ((path, keyword) for keyword in schema if keyword not in {"properties", "items"})
    for name, part in schema.get("properties", {}).items():
        yield from keywords(part, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            yield from keywords(schema[inner], f"{path}[]")


def described(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str | None]]:
    """Description of every field and of every item of a structure type."""
    yield path, schema.get("description")
    for name, part in schema.get("properties", {}).items():
        yield from described(part, f"{path}.{name}".lstrip("."))
    if schema.get("items", {}).get("type") == "object":
        yield from described(schema["items"], f"{path}[]")


@pytest.mark.parametrize("line", [line for line in ACK_LINES if not line.endswith(" required")])
def test_every_field_of_acks_crd_exists_with_its_type(line: str) -> None:
    path, kind = line.split()

    assert TYPES.get(path) == kind


def required_members(fields: dict[str, Field], path: str = ".spec") -> Iterator[str]:
    """Paths below spec of the required members of each structure of the API model."""
    for name, field in fields.items():
        inner, below = (field.item, f"{path}.{name}[]") if field.item else (field, f"{path}.{name}")
        if inner.type == "object":
            yield from (f"{below}.{object_name(member)}" for member in inner.shape.required_members)
            yield from required_members(inner.parts, below)


def test_required_fields_are_those_of_ack_and_the_api_model_except_the_name() -> None:
    by_ack = {line.split()[0] for line in ACK_LINES if line.endswith(" required")}
    by_model = set(required_members(read_model().spec))

    # ACK accepts a tag without a value; metadata.name is the default of trainingJobName.
    optional = {".spec.tags[].value", ".spec.trainingJobName"}
    assert set(required(SCHEMA)) == (by_ack | by_model) - optional


def test_the_generated_files_match_the_api_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(["--check"]), capsys.readouterr().out) == (0, "")


def test_the_check_names_different_files_and_crds_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"], tmp_path) == 1
    assert "crds/kustomization.yaml is out of date" in capsys.readouterr().out
    assert main(["crds"], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    assert (tmp_path / "crds" / OURS.name).read_text() == OURS.read_text()


def test_crds_names_changes_of_a_new_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = yaml.safe_load(OURS.read_text())
    fields = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del fields["infraCheckConfig"]
    fields["retired"] = {"type": "string"}
    fields["tags"]["maxItems"] = 40
    fields["checkpointConfig"]["required"] = ["localPath"]
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / OURS.name).write_text(yaml.safe_dump(older))

    assert main(["crds"], tmp_path) == 0

    assert capsys.readouterr().out.splitlines()[:5] == [
        "spec.infraCheckConfig is new (object): describe it in descriptions.yaml",
        "spec.infraCheckConfig.enableInfraCheck is new (boolean): describe it in descriptions.yaml",
        "spec.retired is removed: the API server prunes it from objects",
        "spec.checkpointConfig: required was ['localPath'], is ['s3URI']",
        f"spec.tags: maxItems was 40, is {MAX_USER_TAGS}",
    ]


def test_every_member_of_create_training_job_has_a_field() -> None:
    expected = {"." + path for path in ("spec", *(f"spec.{name}" for name in read_model().spec))}

    assert {path for path in TYPES if re.fullmatch(r"\.spec(\.\w+)?", path)} == expected


@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("S3Uri", "s3URI"),
        ("RoleArn", "roleARN"),
        ("KmsKeyId", "kmsKeyID"),
        ("VolumeKmsKeyId", "volumeKMSKeyID"),
        ("SecurityGroupIds", "securityGroupIDs"),
        ("TrainingPlanArns", "trainingPlanARNs"),
        ("UltraServerId", "ultraServerID"),
        ("AutoMLJobArn", "autoMLJobARN"),
        ("VpcConfig", "vpcConfig"),
        ("EnableSageMakerMetricsTimeSeries", "enableSageMakerMetricsTimeSeries"),
        ("VolumeSizeInGB", "volumeSizeInGB"),
        ("Identifier", "identifier"),
        ("Arn", "arn"),
    ],
)
def test_members_have_acks_field_names(member: str, name: str) -> None:
    assert object_name(member) == name


def test_every_field_has_a_description_and_every_description_a_field() -> None:
    sentences = yaml.safe_load((REPOSITORY / "operator/codegen/descriptions.yaml").read_text())
    standard = {"apiVersion", "kind", "metadata"}

    found = {path: text for path, text in described(SCHEMA) if path not in standard}

    assert [path for path, text in found.items() if not text] == []
    assert found == sentences


def test_descriptions_are_single_sentences_on_one_line() -> None:
    assert [path for path, text in described(SCHEMA) if text and (len(text) > 110 or "\n" in text)] == []


def test_the_schema_of_the_status_rejects_no_value_of_aws() -> None:
    harmless = {"type", "format", "description", "required", "default"}

    assert {keyword for _, keyword in keywords(SCHEMA["properties"]["status"])} <= harmless


def test_no_field_of_spec_has_a_default() -> None:
    assert [path for path, keyword in keywords(SCHEMA["properties"]["spec"]) if keyword == "default"] == []


def test_every_enum_is_a_closed_one_of_the_generator() -> None:
    enums = {path for path, keyword in keywords(SCHEMA["properties"]["spec"]) if keyword == "enum"}

    assert enums == {
        ".algorithmSpecification.trainingImageConfig.trainingRepositoryAccessMode",
        ".algorithmSpecification.trainingInputMode",
        ".inputDataConfig[].compressionType",
        ".inputDataConfig[].dataSource.fileSystemDataSource.fileSystemAccessMode",
        ".inputDataConfig[].dataSource.fileSystemDataSource.fileSystemType",
        ".inputDataConfig[].dataSource.s3DataSource.s3DataDistributionType",
        ".inputDataConfig[].inputMode",
        ".inputDataConfig[].recordWrapperType",
        ".outputDataConfig.compressionType",
    }


def test_the_example_of_every_field_has_every_field(every_field: dict[str, Any]) -> None:
    fields = [path.replace("[]", "[0]") for path in TYPES if path.startswith(".spec") and "{}" not in path]

    assert all(value_at(every_field, path) is not None for path in fields)


def test_the_crd_is_small_enough_for_client_side_apply() -> None:
    assert len(OURS.read_bytes()) < 256 * 1024 * 3 / 4, "kubectl apply stores a copy in an annotation"
