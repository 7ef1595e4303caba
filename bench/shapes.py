"""Actions as Chef servers publish them [protocol.md 1.6, 1.7], with made-up names and seeded sizes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

_WORDS: Final = [
    "alpha", "apt", "base", "cache", "default", "deploy", "edge", "firewall", "green", "haproxy", "kernel",
    "locale", "mail", "mysql", "nginx", "ntp", "openssh", "postfix", "proxy", "queue", "redis", "release",
    "search", "storage", "syslog", "tomcat", "upstream", "vault", "web", "worker", "façade",
]  # fmt: skip
_ORGANIZATIONS: Final = ("ponyville", "canterlot", "cloudsdale", "manehattan")
_AGENTS: Final = (
    "Chef Client/16.18.30 (ruby-3.1.2-p20; ohai-16.13.0; x86_64-linux-gnu; +https://chef.io)",
    "Chef Knife/16.18.30 (ruby-3.1.2-p20; ohai-16.13.0; x86_64-linux; +https://chef.io)",
    "Chef Manage/11.16.2 (ruby-2.3.5-p376; ohai-7.4.1; x86_64-linux; +http://opscode.com)",
)
_KEY: Final = "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n"


def envelope(members: dict[str, Any], chance: random.Random, **given: str) -> dict[str, Any]:
    """A whole message, members in the order that oc_chef_action writes them, around what a shape says."""
    member = {"requestor_type": "user", "requestor_name": chance.choice(_WORDS), "agent": 1, **members}
    message = {
        "message_type": "action",
        "message_version": "0.1.1",
        "organization_name": member.get("organization_name", chance.choice(_ORGANIZATIONS)),
        "service_hostname": given["service_hostname"],
        "recorded_at": given["recorded_at"],
        "remote_hostname": f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}",
        "request_id": f"g1oAA2QADW5vbm9kZUBub2hvc3Q{chance.getrandbits(64):016x}",
        "requestor_name": member["requestor_name"],
        "requestor_type": member["requestor_type"],
        "user_agent": _AGENTS[member["agent"]],
        "id": given["id"],
        "task": member["task"],
        "entity_type": member["entity_type"],
        "entity_name": member["entity_name"],
    }
    message |= {name: member[name] for name in ("parent_type", "parent_name") if name in member}
    return message | {"remote_request_id": _uuid(chance), "data": member["data"]}


def node_edit(chance: random.Random) -> dict[str, Any]:
    return _entity("node", "update", _host(chance), _node(_host(chance), {"platform": "debian"}, chance))


def role_create(chance: random.Random) -> dict[str, Any]:
    name = _name(chance)
    data = {"name": name, "description": "Serveur web — façade", "run_list": _run_list(chance)}
    data |= {"default_attributes": _attributes(chance, 180), "override_attributes": {}}
    data |= {"env_run_lists": {"prod": ["recipe[nginx]"]}, "json_class": "Chef::Role", "chef_type": "role"}
    return _entity("role", "create", name, data)


def item_update(chance: random.Random) -> dict[str, Any]:
    name = _name(chance)
    data = {"id": name, "shell": "/bin/bash", "password": "*******", "groups": _attributes(chance, 250)}
    return _entity("item", "update", name, data) | {"parent_type": "bag", "parent_name": "users"}


def permission_update(chance: random.Random) -> dict[str, Any]:
    grants = {"actors": ["pivotal", *_names(chance, 8)], "groups": ["admins", "clients", *_names(chance, 6)]}
    parent = {"parent_name": _host(chance), "parent_type": "node"}
    return _entity("permission", "update", "grant", {"grant": grants}) | parent


def environment_update(chance: random.Random) -> dict[str, Any]:
    name = _name(chance)
    data = {"name": name, "json_class": "Chef::Environment", "cookbook_versions": _attributes(chance, 300)}
    return _entity("environment", "update", name, data)


def node_delete(chance: random.Random) -> dict[str, Any]:
    return _entity("node", "delete", _host(chance), {})


def key_create(chance: random.Random) -> dict[str, Any]:
    # Valid by the schema of what servers send, not by the documented one.
    text = _KEY.format("\n".join(f"{chance.getrandbits(256):064x}" for _ in range(6)))
    data = {"name": "laptop", "public_key": text, "expiration_date": "infinity"}
    parent = {"parent_type": "user", "parent_name": chance.choice(_WORDS), "organization_name": None}
    return _entity("key", "create", "laptop", data) | parent


def cookbook_version(chance: random.Random) -> dict[str, Any]:
    """5 to 20 KB: a cookbook's manifest."""
    size = chance.randrange(5_000, 20_000) - 900
    files = [_file(chance) for _ in range(max(1, size // 155))]
    data = {"name": "app-1.4.2", "cookbook_name": "app", "version": "1.4.2", "frozen?": False}
    data |= {"metadata": {"name": "app", "dependencies": {"apt": ">= 0.0.0"}}, "recipes": files}
    return _entity("version", "update", "1.4.2", data) | {"parent_type": "cookbook", "parent_name": "app"}


def node_save(chance: random.Random, size: int | None = None) -> dict[str, Any]:
    """100 to 200 KB, or `size` bytes: a node's own chef-client saves it with all that Ohai found."""
    host = _host(chance)
    automatic = _attributes(chance, (size or chance.randrange(100_000, 200_000)) - 1_000)
    own = {"requestor_type": "client", "requestor_name": host, "agent": 0}
    return _entity("node", "update", host, _node(host, automatic, chance)) | own


DOCUMENTED: Final[list[Callable[[random.Random], dict[str, Any]]]] = [
    node_edit, role_create, item_update, permission_update, environment_update, node_delete,
]  # fmt: skip
SMALL: Final = [*DOCUMENTED, key_create]


def _entity(entity_type: str, task: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"entity_type": entity_type, "task": task, "entity_name": name, "data": data}


def _node(name: str, automatic: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    data = {"name": name, "chef_environment": "_default", "json_class": "Chef::Node", "automatic": automatic}
    data |= {"normal": {"tags": _names(chance, 4)}, "chef_type": "node", "default": {}, "override": {}}
    return data | {"run_list": _run_list(chance)}


def _attributes(chance: random.Random, size: int) -> dict[str, Any]:
    """About `size` bytes of the nested objects, strings, numbers and lists that node attributes are."""
    found: dict[str, Any] = {}
    left = size
    while left > 0:
        leaf = {"state": chance.choice(_WORDS), "size_kb": chance.randrange(10**9), "ok": chance.random() < 0.5}
        leaf["addresses"] = [f"10.1.{chance.randrange(256)}.{chance.randrange(256)}", None]
        found[f"{_name(chance)}_{len(found)}"] = leaf
        left -= 100
    return found


def _file(chance: random.Random) -> dict[str, str]:
    name = f"{_name(chance)}.rb"
    checksum = f"{chance.getrandbits(128):032x}"
    return {"name": name, "path": f"recipes/{name}", "checksum": checksum, "specificity": "default"}


def _run_list(chance: random.Random) -> list[str]:
    return [f"recipe[{each}::default]" for each in _names(chance, 5)]


def _names(chance: random.Random, count: int) -> list[str]:
    return [_name(chance) for _ in range(count)]


def _name(chance: random.Random) -> str:
    return f"{chance.choice(_WORDS)}-{chance.randrange(1000)}"


def _host(chance: random.Random) -> str:
    return f"{chance.choice(_WORDS[:-1])}{chance.randrange(10000):04}.ponyville.example"


def _uuid(chance: random.Random) -> str:
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
