"""Load the hub's configuration as zero-to-jupyterhub would, under a real JupyterHub, and tell what came of it.

``python loaded.py FOLDER < told.json``: for each values file the values below ``jupyterhub``, the environment of the
hub and the people whose servers are wanted; JSON to the standard output. The part of zero-to-jupyterhub that is done
here is what its documentation says of `hub.config`, `hub.extraConfig` and `singleuser`; its own Python is not at hand.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # as in our own programs: it takes seconds

import anyio  # noqa: E402
from jupyterhub import orm  # noqa: E402
from jupyterhub.app import JupyterHub  # noqa: E402
from kubernetes_asyncio.client import ApiClient  # noqa: E402
from traitlets.config import Config  # noqa: E402

HERE = Path(__file__).parent


def as_the_chart_does(c: Any, jupyterhub: dict[str, Any]) -> None:
    """What zero-to-jupyterhub makes of its values, as far as ours use it."""
    hub, singleuser = jupyterhub["hub"], jupyterhub["singleuser"]
    c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.auth_token = "p" * 32
    c.JupyterHub.cookie_secret = b"c" * 32
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
    c.JupyterHub.hub_connect_ip, c.JupyterHub.hub_ip = "hub", "0.0.0.0"
    c.JupyterHub.services, c.JupyterHub.load_roles = [], []
    c.KubeSpawner.namespace = "quantdesk"
    c.KubeSpawner.image = f"{singleuser['image']['name']}:{singleuser['image']['tag']}"
    c.KubeSpawner.uid, c.KubeSpawner.fs_gid = singleuser["uid"], singleuser["fsGid"]
    c.KubeSpawner.start_timeout = singleuser["startTimeout"]
    c.KubeSpawner.environment = dict(singleuser["extraEnv"])
    c.KubeSpawner.extra_labels = {"hub.jupyter.org/network-access-hub": "true"}
    c.KubeSpawner.extra_pod_config = {"terminationGracePeriodSeconds": 45}
    storage = singleuser["storage"]
    c.KubeSpawner.storage_pvc_ensure = True
    c.KubeSpawner.pvc_name_template = "claim-{user_server}"
    home = {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}
    c.KubeSpawner.volumes = [home, *storage["extraVolumes"]]
    mount = {"name": "home", "mountPath": storage["homeMountPath"]}
    c.KubeSpawner.volume_mounts = [mount, *storage["extraVolumeMounts"]]
    for name, traits in hub["config"].items():
        c[name].update(traits)
    for _, code in sorted(hub["extraConfig"].items()):
        exec(code, {"c": c})


def logged(app: JupyterHub) -> str:
    """What the hub's log makes of a line."""
    (handler,) = [one for one in app.log.handlers if one.formatter is not None]
    return handler.format(app.log.makeRecord("JupyterHub", 40, "hub.py", 1, "%s is late", ("ana",), None))


def unknown(app: JupyterHub) -> list[str]:
    """Settings that no class has."""
    classes = {one.__name__: one for one in (*app.classes, app.spawner_class, app.authenticator_class, app.proxy_class)}
    for one in list(classes.values()):
        classes |= {base.__name__: base for base in one.__mro__ if hasattr(base, "class_traits")}
    classes["JupyterHub"] = JupyterHub
    return [
        f"{name}.{trait}"
        for name, section in app.config.items()
        for trait in section
        if name not in classes or trait not in classes[name].class_trait_names()
    ]


async def manifests(app: JupyterHub, people: list[dict[str, Any]]) -> dict[str, Any]:
    """The pod and the claim of each person's server, or why there is none."""
    told: dict[str, Any] = {}
    async with ApiClient() as api:
        for who in people:
            user = orm.User(name=who["name"], admin=who.get("admin", False))
            app.db.add(user)
            app.db.flush()
            for name in who["groups"]:
                user.groups.append(orm.Group.find(app.db, name) or orm.Group(name=name))
            app.db.commit()
            spawner = app.users[user.id].spawner
            spawner.user_options = {"profile": who["profile"]} if who["profile"] else {}
            try:
                await spawner.load_user_options()
            except ValueError as error:
                told[who["case"]] = {"refused": str(error)}
                continue
            spawner.port = 8888
            spawner.api_token = "t" * 32
            pod, claim = await spawner.get_pod_manifest(), spawner.get_pvc_manifest()
            form = await spawner.get_options_form()
            told[who["case"]] = {
                "pod": api.sanitize_for_serialization(pod),
                "claim": api.sanitize_for_serialization(claim),
                "form": form,
            }
    return told


async def load(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """One values file."""
    folder.mkdir()
    (folder / "values.json").write_text(json.dumps(given["jupyterhub"]))
    (folder / "config.py").write_text(
        f"import json, sys\nsys.path.insert(0, {str(HERE)!r})\nfrom loaded import as_the_chart_does\n"
        f"as_the_chart_does(c, json.load(open({str(folder / 'values.json')!r})))\n"
    )
    for name in [name for name in os.environ if name.startswith(("QUANTDESK_", "JUPYTERHUB_"))]:
        del os.environ[name]
    os.environ.update(given["environment"])
    os.chdir(folder)
    JupyterHub.clear_instance()
    app = JupyterHub.instance(config=Config(), log_level=40)
    await app.initialize(["--config", str(folder / "config.py")])
    roles = {role.name: sorted(role.scopes) for role in app.db.query(orm.Role)}
    told = {
        "unknown": unknown(app),
        "authenticator": app.authenticator_class.__name__,
        "spawner": app.spawner_class.__name__,
        "services": {name: service.url for name, service in app._service_map.items()},
        "roles": roles,
        "headers": app.tornado_settings["headers"],
        "line": logged(app),
        "left": sorted(
            name for name, value in os.environ.items()
            if name.startswith("QUANTDESK_") and ("s3cret" in value or "TOKEN" in name)
        ),
        "servers": await manifests(app, given["people"]),
    }  # fmt: skip
    app.db.close()
    app.db.get_bind().dispose()
    return told


def main() -> None:
    """All of them, one after the other: what takes long is to import JupyterHub."""
    given = json.load(sys.stdin)
    folder = Path(sys.argv[1])

    async def all_of_them() -> dict[str, Any]:
        return {name: await load(folder / name, one) for name, one in given.items()}

    json.dump(anyio.run(all_of_them), sys.stdout)


if __name__ == "__main__":
    main()
