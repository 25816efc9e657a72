"""Every profile as a W3C Thing Description, checked with the W3C's own JSON Schema (npm package wot-thing-description-types)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

from labkit import yamlfile
from labkit.cli import main
from labkit.model import Profile
from labkit.profiles import load_profiles
from labkit.td import thing_description, wire_href

PACKAGE = Path(__file__).parents[2] / "node_modules" / "wot-thing-description-types"
PROFILES = [pytest.param(profile, id=name) for name, profile in load_profiles().items()]
URI = re.compile(r"[a-z][a-z0-9+.-]*:[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~%-]+")


@pytest.fixture(scope="module")
def w3c() -> Draft7Validator:
    """The schema of TD 1.1 as the working group publishes it; `make assets` installs it."""
    assert PACKAGE.is_dir(), "run `make assets`: node_modules/wot-thing-description-types is missing"
    schema = json.loads((PACKAGE / "schema" / "td-json-schema-validation.json").read_text(encoding="utf-8"))
    assert str(schema["version"]).startswith("1.1-")
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def faults(w3c: Draft7Validator, document: object) -> list[str]:
    plain = json.loads(json.dumps(document))
    return [f"{'/'.join(str(p) for p in error.absolute_path)}: {error.message}" for error in w3c.iter_errors(plain)]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_a_thing_description(w3c: Draft7Validator, profile: Profile) -> None:
    document = thing_description(profile)
    assert faults(w3c, document) == []
    data = yamlfile.read(Path(profile.folder) / "profile.yaml").data
    assert isinstance(data, dict)
    for group in ("properties", "actions"):
        things = document.get(group, {})
        assert isinstance(things, dict)
        assert set(things) == set(data.get(group, {}))
        for name, item in things.items():
            steps = [step for form in item["forms"] for step in form.get("lab:steps", [form])]
            assert all(URI.fullmatch(step["href"]) for step in steps)
            assert [wire_href(step["href"]) for step in steps] == [f["href"] for f in data[group][name]["forms"]]
    assert document["lab:profile"] == data["x-lab"]


@pytest.mark.parametrize(
    ("group", "change"),
    [
        ("properties", {"forms": []}),
        ("properties", {"forms": [{"href": "x:y", "op": "invokeaction"}]}),
        ("properties", {"forms": [{"op": "readproperty"}]}),
        ("properties", {"type": "float"}),
        ("actions", {"safe": "no"}),
    ],
)
def test_the_schema_would_say_no(w3c: Draft7Validator, group: str, change: dict[str, object]) -> None:
    document = thing_description(load_profiles()["makeblock-mbot"])
    things = document[group]
    assert isinstance(things, dict)
    things["stop" if group == "actions" else "left"] |= change
    assert faults(w3c, document)


def test_it_is_printed() -> None:
    run = CliRunner().invoke
    told = run(main, ["td", "makeblock-mbot"])
    assert (told.exit_code, json.loads(told.output)["titles"]) == (0, {"zh-CN": "mBot 小车", "en": "mBot"})
    folder = load_profiles()["ryze-tello-tt"].folder
    assert json.loads(run(main, ["td", folder]).output)["id"] == "urn:zhike:profile:ryze-tello-tt"
    missing = run(main, ["td", "no-such-kit"])
    assert missing.exit_code == 2
    assert "没有这个设备档案" in missing.output


@pytest.mark.parametrize("name", ["profile", "lab"])
def test_the_published_schemas_are_printed(name: str) -> None:
    told = CliRunner().invoke(main, ["schema", name])
    assert told.exit_code == 0
    assert json.loads(told.output) == yamlfile.validator(f"{name}.schema.json").schema


def test_the_editor_explains_every_key_of_a_profile() -> None:
    schema = yamlfile.validator("profile.schema.json").schema
    assert isinstance(schema, dict)
    kinds = schema["$defs"]
    lab = kinds["lab"]["properties"]
    groups = [
        schema["properties"],
        kinds["form"]["properties"],
        kinds["property"]["properties"],
        kinds["action"]["properties"],
        lab,
    ]
    groups += [lab[name]["properties"] for name in ("transport", "match", "drive", "safety")]
    bare = [key for keys in groups for key, rule in keys.items() if "description" not in rule and "$ref" not in rule]
    assert bare == []
