"""A profile as a W3C WoT Thing Description 1.1 document, for tools that know TD and not us.

What TD has no word for keeps its place under the prefix ``lab:`` of this document's context: the ``x-lab`` block as
``lab:profile``, a form's ``x-reply``, ``x-scale`` and ``x-round`` as ``lab:reply`` and so on. Hrefs are percent-encoded, for
``frame:02 0a {left:i16}`` is no URI. TD reads several forms of an action as a choice, ours are steps: an action has one
form, and its steps stand in order under ``lab:steps``. Security is ``nosec``: the wires have none, rights are the broker's.

Source: W3C Recommendation "Web of Things (WoT) Thing Description 1.1", 5 December 2023.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

from labkit import yamlfile
from labkit.model import Profile
from labkit.profiles import PROFILE_FILE

CONTEXT = "https://www.w3.org/2022/wot/td/v1.1"
VOCABULARY = "urn:zhike:vocabulary:lab#"
LANGUAGE, OTHER = "zh-CN", "en"
_URI_SAFE = ":/?#[]@!$&'()*+,;=-._~"
_OPS = {"readOnly": ["readproperty"], "writeOnly": ["writeproperty"]}
_PLAIN = ("type", "unit", "minimum", "maximum", "enum", "readOnly", "writeOnly", "observable")
_ACTION = ("safe", "idempotent", "synchronous")


def thing_description(profile: Profile) -> dict[str, object]:
    """The TD document of a profile, as JSON values; it is made of the profile's own file, so nothing of it is lost.

    Raises BadDocument when that file can no longer be read.
    """
    data = _dict(yamlfile.read(Path(profile.folder) / PROFILE_FILE).data)
    document: dict[str, object] = {
        "@context": [CONTEXT, {"@language": LANGUAGE, "lab": VOCABULARY}],
        "@type": "Thing",
        "id": f"urn:zhike:profile:{profile.id}",
        **_words(data),
        "securityDefinitions": {"nosec": {"scheme": "nosec"}},
        "security": ["nosec"],
        "properties": {key: _property(_dict(item)) for key, item in _dict(data["properties"]).items()},
    }
    actions = {key: _action(_dict(item)) for key, item in _dict(data.get("actions", {})).items()}
    if actions:
        document["actions"] = actions
    return document | {"lab:profile": data["x-lab"]}


def wire_href(uri: str) -> str:
    """The href as the profile wrote it, from a TD form's ``href``."""
    return unquote(uri)


def _words(data: dict[str, object]) -> dict[str, object]:
    """``title`` and ``description`` in Chinese, and both languages as TD's multi-language terms."""
    words: dict[str, object] = {}
    for one, many in (("title", "titles"), ("description", "descriptions")):
        if one in data:
            text = _dict(data[one])
            words |= {one: text["zh"], many: {LANGUAGE: text["zh"], OTHER: text["en"]}}
    return words


def _property(data: dict[str, object]) -> dict[str, object]:
    default = next((ops for key, ops in _OPS.items() if data.get(key)), ["readproperty", "writeproperty"])
    forms = [{"op": default, **_form(_dict(form))} for form in _list(data["forms"])]
    return _words(data) | {key: data[key] for key in _PLAIN if key in data} | {"forms": forms}


def _action(data: dict[str, object]) -> dict[str, object]:
    steps = [_form(_dict(form)) for form in _list(data["forms"])]
    form = {"op": ["invokeaction"], "href": steps[0]["href"], "lab:steps": steps}
    return _words(data) | {key: data[key] for key in _ACTION if key in data} | {"forms": [form]}


def _form(data: dict[str, object]) -> dict[str, object]:
    form: dict[str, object] = {"href": quote(str(data["href"]), safe=_URI_SAFE)}
    for key, value in data.items():
        if key != "href":
            form[f"lab:{key.removeprefix('x-')}" if key.startswith("x-") else key] = value
    return form


def _dict(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
